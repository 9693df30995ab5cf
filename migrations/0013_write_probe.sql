-- One row, which `/ready` writes to: a server that only reads answers all questions, and yet nothing can be booked there.

create table write_probe (
  -- Refuses a second row.
  only_row boolean primary key default true check (only_row),
  tried_at timestamptz not null
);
insert into write_probe (tried_at) values (now());
