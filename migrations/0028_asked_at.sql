-- When Stripe was last asked how the session of an attempt stands. Whoever asks takes it by one update, so that however
-- many want to know, at whatever process, Stripe is asked at most once in five seconds.
alter table checkout_attempts add column asked_at timestamptz;
