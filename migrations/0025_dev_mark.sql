-- A database that `holdfast dev` works on. Whoever may use that machine can make tokens and payments for it, so `serve` refuses
-- it, and `dev` takes no other that is in use.

create table dev_mark (
  only_row boolean primary key default true check (only_row),
  marked_at timestamptz not null
);
