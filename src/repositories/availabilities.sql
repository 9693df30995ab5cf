-- Wanted seats with what they cost, and who has claimed them; beside the first seat of each
-- request, what its buyer holds and has.
select wanted.number as "number!", shows.id as "show_id: ShowId", shows.title, starts_at,
       timezone, shows.status as "status: ShowStatus", shows.currency,
       max_seats_per_booking, max_seats_per_user, delayed_methods,
       shows.cancellation_policy as "cancellation_policy: StoredPolicy",
       seat.label as "label?", seat.tier as "tier?", seat.sellable as "sellable?",
       show_tiers.price_minor as "price_minor?",
       bookings.id as "claimed_by?: BookingId",
       bookings.user_id as "claimed_for?: UserId",
       bookings.status as "claimed_as?: BookingStatus", movies.id as "movie_id?: MovieId",
       movies.title as "movie_title?", movies.poster_url as "movie_poster_url?",
       movies.runtime_minutes as "movie_runtime_minutes?",
       wanted.user_id is not null as "is_first!",
       holder.holds as "holds!: Json<Vec<UnpaidHold>>", holder.seats as "seats!",
       holder.lapses as "lapses!"
from unnest($1::int[], $2::uuid[], $3::text[], $4::text[])
  as wanted (number, show_id, label, user_id)
join shows on shows.id = wanted.show_id
left join movies on movies.id = shows.movie_id
left join show_seats as seat on seat.show_id = shows.id and seat.label = wanted.label
left join show_tiers on show_tiers.show_id = seat.show_id and show_tiers.name = seat.tier
left join seat_claims as claim
  on claim.show_id = seat.show_id and claim.label = seat.label
left join bookings on bookings.id = claim.booking_id
-- Of nobody where the seat is gone: who is too late learns nothing else.
cross join lateral holder_counts(
  case when claim.booking_id is null then wanted.user_id end, wanted.show_id,
  max_seats_per_user is not null, $5
) as holder
