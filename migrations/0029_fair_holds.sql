-- What keeps one account from keeping a show sold out: how much a user may hold unpaid, and how much of a show they may
-- have. The limits themselves are settings of the processes and of the shows; here they are counted.

alter table shows
  -- How many seats of this show one user may have, held and bought together; any number if it is null.
  add column max_seats_per_user int constraint shows_max_seats_per_user check (max_seats_per_user > 0),
  -- Whether its seats may wait for methods of payment that take days.
  add column delayed_methods boolean not null default false;

-- A user's bookings that hold something, their seats of a show, and those of their holds that have lapsed.
create index bookings_by_holder on bookings (user_id, status, show_id, hold_expires_at);

-- What a user has, as far as it counts against what they may hold: all that they hold unpaid; how many seats of a show
-- they hold or have bought, if that counts (else 0); and the ends of their last two holds of it that nobody has paid, if
-- they ended after `lapsed_after`. Where that is null, neither holds nor lapses count. Of a service the show is null.
--
-- In SQL and stable, so that it becomes a part of the query that calls it, and its plan is seen there.
create function holder_counts(holder text, of_show uuid, seats_count boolean, lapsed_after timestamptz)
returns table (holds json, seats bigint, lapses timestamptz[])
language sql stable as $$
  select
    (
      select coalesce(
        json_agg(json_build_object(
          'id', hold.id, 'reference', hold.reference, 'showId', hold.show_id, 'holdExpiresAt', hold.hold_expires_at
        )), '[]')
      from (
        select id, reference, show_id, hold_expires_at
        from bookings
        where user_id = holder and status in ('pending', 'processing') and lapsed_after is not null
        order by id
        -- As many as HOLDS_PER_USER may say.
        limit 100
      ) as hold
    ),
    (
      select coalesce(sum(cardinality(bookings.seats)), 0)
      -- Looked up one status after the other: a user may have let any number of bookings go.
      from unnest('{pending, processing, confirmed, review}'::booking_status[]) as counted (status)
      join bookings on bookings.user_id = holder and bookings.status = counted.status and bookings.show_id = of_show
      where seats_count
    ),
    array(
      select hold_expires_at
      from bookings
      where user_id = holder and status = 'expired' and show_id = of_show and hold_expires_at > lapsed_after
      order by hold_expires_at desc
      limit 2
    )
$$;

-- The same for many who are about to hold something. Those who hold for one user come one after the other, until they
-- commit: what is counted includes what was committed while the lock was waited for, which no plain statement would see
-- that waits in its midst. A user's row is locked for their new booking anyway, by its foreign key.
create function lock_holders(
  booking_ids uuid[], holders text[], of_shows uuid[], seats_count boolean[], lapsed_after timestamptz[]
)
returns table (booking_id uuid, holds json, seats bigint, lapses timestamptz[])
language plpgsql as $$
#variable_conflict use_column
begin
  perform from users where users.id = any (holders) order by users.id for no key update;
  return query
    select wanted.booking_id, counts.holds, counts.seats, counts.lapses
    from unnest(booking_ids, holders, of_shows, seats_count, lapsed_after)
      as wanted (booking_id, holder, of_show, seats_count, lapsed_after)
    cross join lateral holder_counts(wanted.holder, wanted.of_show, wanted.seats_count, wanted.lapsed_after) as counts;
end $$;
