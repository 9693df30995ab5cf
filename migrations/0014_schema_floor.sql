-- Which binaries the schema still suits, so that a release can be rolled back without its migrations: those only go forward.

create table schema_floor (
  -- Refuses a second row.
  only_row boolean primary key default true check (only_row),
  -- The latest migration that a binary must know. A migration that an earlier binary cannot work with raises it to itself,
  -- as does an update of the queue's library with a breaking migration of its own; it never goes down.
  version bigint not null check (version > 0)
);
insert into schema_floor (version) values (14);
