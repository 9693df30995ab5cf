-- Where a dispute stands can be learned by asking Stripe, too: then it is in no event, and who decides all events again
-- comes to less than is stored.

-- Whether something of it was learned so.
alter table disputes add column was_asked_about boolean not null default false;
