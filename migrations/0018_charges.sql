-- What Stripe says of the charges that payments come from: how the buyer has paid, and Stripe's own receipt. By
-- PaymentIntent, as a payment names it, and not at the payment: the charge may be heard of first.

create table charges (
  stripe_payment_intent_id text primary key,
  stripe_charge_id text not null,
  -- Such as card, with brand and last four; another type has less.
  method_type text,
  method_brand text,
  method_last4 text,
  receipt_url text,
  -- When Stripe said this: what is older does not take its place.
  reported_at timestamptz not null
);
create index charges_by_stripe_charge on charges (stripe_charge_id);
