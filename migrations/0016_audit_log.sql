-- What admins have done: append-only, and each entry bears the hash of the one before, so that one that was changed or
-- taken out by hand breaks the chain. `holdfast doctor` recomputes it.

create table audit_log (
  -- Without gaps.
  number bigint primary key check (number > 0),
  at timestamptz not null,
  actor text not null,
  action text not null,
  -- What it was done to, such as a booking's id.
  subject text not null,
  reason text,
  request_id text,
  -- Refuses two entries that follow the same one.
  previous_hash bytea not null constraint audit_log_one_chain unique check (length(previous_hash) = 32),
  hash bytea not null check (length(hash) = 32)
);
create index audit_log_by_actor on audit_log (actor, number);
create index audit_log_by_subject on audit_log (subject, number);

-- Refuses to rewrite or forget what was done.
create function audit_log_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only'
    using errcode = 'check_violation', constraint = 'audit_log_append_only';
end $$;
create trigger audit_log_append_only before update or delete on audit_log
  for each row execute function audit_log_refuse_rewrite();
create trigger audit_log_no_truncate before truncate on audit_log
  for each statement execute function audit_log_refuse_rewrite();
