-- One answer per caller and key, for 24 hours. `locked_until` passes a key on when the process that held it has died.

create table idempotency_keys (
  caller text not null,
  key text not null check (length(key) between 1 and 255),
  request_hash bytea not null,
  -- The key is claimed before its booking is made, in the same transaction.
  booking_id uuid references bookings deferrable initially deferred,
  locked_until timestamptz not null,
  -- A 5xx is never kept: the next request with the key tries again.
  response_status smallint check (response_status between 200 and 499),
  response_location text,
  response_body text,
  created_at timestamptz not null,
  -- Refuses two answers to one request.
  primary key (caller, key),
  constraint idempotency_keys_answer_is_whole
    check (
      (response_status is null) = (response_body is null)
      and (response_status is not null or response_location is null)
    )
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
