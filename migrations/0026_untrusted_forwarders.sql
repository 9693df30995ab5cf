-- Who sends X-Forwarded-For and is not among the trusted proxies, for `holdfast doctor`. At most 20 of each process.

create table untrusted_forwarders (
  address text primary key,
  seen_at timestamptz not null
);
