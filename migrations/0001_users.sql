-- Who books. Written for PostgreSQL 14 and later, like all files here.

-- A user is known by the identity provider's id. Rows are never deleted: bookings and money outlive an account.
create table users (
  id text primary key check (length(id) between 1 and 255),
  email text,
  name text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
