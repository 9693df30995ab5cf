-- Vouchers, and the bookings that were sold for less with one.

create table vouchers (
  id uuid primary key,
  code text not null check (code ~ '^[!-~]{1,64}$'),
  -- What it takes off: a part of the price, or an amount.
  percent_off int check (percent_off between 1 and 100),
  amount_off_minor bigint check (amount_off_minor > 0),
  currency text check (currency ~ '^[a-z]{3}$'),
  -- How many live bookings may have it at a time; any number if it is null.
  max_uses bigint check (max_uses > 0),
  valid_from timestamptz,
  valid_until timestamptz,
  active boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint vouchers_take_off_one check (
    num_nonnulls(percent_off, amount_off_minor) = 1 and (amount_off_minor is null) = (currency is null)
  ),
  constraint vouchers_valid_in_order check (valid_from < valid_until)
);
-- Buyers may write it in capitals or not.
create unique index vouchers_code_key on vouchers (lower(code));

-- One row is one use. It stays when its booking ends, and says what was sold; it counts while the booking is live.
create table voucher_redemptions (
  booking_id uuid primary key references bookings,
  voucher_id uuid not null references vouchers,
  -- What it has taken off, in the booking's currency: the total of the booking is the rest.
  discount_minor bigint not null check (discount_minor > 0),
  live boolean not null default true,
  -- The booking had ended, and others had used the voucher up when late money brought it back: money decides.
  beyond_limit boolean not null default false,
  redeemed_at timestamptz not null
);
create index voucher_redemptions_live on voucher_redemptions (voucher_id) where live;

-- Refuses a voucher that is used more often than it may be. Those who use one voucher come one after the other: the
-- count sees what was committed while the lock was waited for.
create function vouchers_assert_limit(changed uuid[]) returns void language plpgsql as $$
begin
  perform from vouchers where id = any (changed) order by id for no key update;
  if exists (
    select from vouchers v
    where v.id = any (changed)
      and v.max_uses is not null
      and v.max_uses < (
        select count(*) from voucher_redemptions r where r.voucher_id = v.id and r.live and not r.beyond_limit
      )
  ) then
    raise exception 'a voucher is used more often than it may be'
      using errcode = 'check_violation', constraint = 'vouchers_used_within_limit';
  end if;
end $$;
create function vouchers_check_limit() returns trigger language plpgsql as $$
begin
  perform vouchers_assert_limit(array[new.id]);
  return null;
end $$;
create function voucher_redemptions_check_new() returns trigger language plpgsql as $$
begin
  perform vouchers_assert_limit(array(select distinct voucher_id from redeemed));
  return null;
end $$;
create function voucher_redemptions_check_again() returns trigger language plpgsql as $$
begin
  perform vouchers_assert_limit(array[new.voucher_id]);
  return null;
end $$;
create trigger vouchers_used_within_limit after update of max_uses on vouchers for each row
  when (old.max_uses is distinct from new.max_uses) execute function vouchers_check_limit();
-- Looked up once per statement: many who come together use one voucher.
create trigger voucher_redemptions_within_limit after insert on voucher_redemptions
  referencing new table as redeemed for each statement execute function voucher_redemptions_check_new();
create trigger voucher_redemptions_again_within_limit after update of live, beyond_limit on voucher_redemptions
  for each row when (new.live and not new.beyond_limit and (not old.live or old.beyond_limit))
  execute function voucher_redemptions_check_again();

-- Refuses, at every commit, a use that counts for a booking that has ended, and a live booking that was sold for less
-- without one that counts. Whoever changes whether a booking is live changes its use: two such changes come one after
-- the other.
create function voucher_redemptions_assert_live(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select from voucher_redemptions r
    join bookings b on b.id = r.booking_id
    where r.booking_id = booking and r.live <> b.live
  ) then
    raise exception 'the voucher of booking % must count as long as the booking is live', booking
      using errcode = 'check_violation', constraint = 'voucher_redemptions_live_with_booking';
  end if;
end $$;
create function bookings_check_voucher() returns trigger language plpgsql as $$
begin
  perform voucher_redemptions_assert_live(new.id);
  return null;
end $$;
create function voucher_redemptions_check_booking() returns trigger language plpgsql as $$
begin
  perform voucher_redemptions_assert_live(new.booking_id);
  return null;
end $$;
create constraint trigger bookings_live_again_has_voucher after update of status on bookings
  deferrable initially deferred for each row when (old.live <> new.live) execute function bookings_check_voucher();
create constraint trigger voucher_redemptions_live_with_booking after insert or update of live on voucher_redemptions
  deferrable initially deferred for each row execute function voucher_redemptions_check_booking();

-- Refuses to rewrite or forget for how much less a booking was sold, and to sell beyond the limit.
create function voucher_redemptions_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'what a voucher has taken off cannot be rewritten or forgotten'
    using errcode = 'check_violation', constraint = 'voucher_redemptions_sale_is_final';
end $$;
create trigger voucher_redemptions_sale_is_final before update on voucher_redemptions for each row
  when ((old.booking_id, old.voucher_id, old.discount_minor, old.redeemed_at)
    is distinct from (new.booking_id, new.voucher_id, new.discount_minor, new.redeemed_at)
    or (new.beyond_limit and not old.beyond_limit and old.live))
  execute function voucher_redemptions_refuse_rewrite();
create trigger voucher_redemptions_born_within_limit before insert on voucher_redemptions for each row
  when (new.beyond_limit or not new.live) execute function voucher_redemptions_refuse_rewrite();
create trigger voucher_redemptions_are_kept before delete on voucher_redemptions
  for each row execute function voucher_redemptions_refuse_rewrite();
create trigger voucher_redemptions_no_truncate before truncate on voucher_redemptions
  for each statement execute function voucher_redemptions_refuse_rewrite();

-- An earlier binary ends bookings without giving their vouchers back, which is refused above.
update schema_floor set version = 21;
