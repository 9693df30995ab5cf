-- Seats change hands only when a booking becomes live or ceases to be, and by the claims themselves, which have checks of
-- their own. A booking that goes from pending to confirmed keeps what it has, and a payment need not look for that.
drop trigger bookings_live_has_seats on bookings;
create constraint trigger bookings_live_has_seats after insert on bookings
  deferrable initially deferred for each row execute function bookings_check_seats();
create constraint trigger bookings_live_again_has_seats after update of status on bookings
  deferrable initially deferred for each row when (old.live <> new.live) execute function bookings_check_seats();

-- Which of its seats a show only holds, for its seat map.
create index bookings_holding on bookings (show_id) where status in ('pending', 'processing');
drop index bookings_by_show;
