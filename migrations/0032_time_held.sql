-- The pause after lapsed holds counts how long seats were held, and not only how the holds ended: whoever called each one
-- off a second before its end kept seats off sale for ever. Of a service, holds of any service count.

-- What a user has, as far as it counts against what they may hold: all that they hold unpaid; how many seats of a show
-- they hold or have bought, if that counts (else 0); and the ends of the last and of the first of their unpaid holds that
-- together have lasted as long as two, if they have, and if these ended after `lapsed_after`. One that has lapsed counts as
-- one; one that was called off, as the part of it that it lasted. Where `lapsed_after` is null, neither holds nor lapses
-- count. Of a service the show is null.
--
-- In SQL and stable, so that it becomes a part of the query that calls it, and its plan is seen there.
create or replace function holder_counts(holder text, of_show uuid, seats_count boolean, lapsed_after timestamptz)
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
    (
      select case when max(kept) >= 2
                  then array[max(ended_at), max(ended_at) filter (where kept >= 2)]
                  else '{}' end
      from (
        select ended_at, sum(part) over (order by ended_at desc, id) as kept
        from (
          select id,
                 case status when 'expired' then hold_expires_at else cancelled_at end as ended_at,
                 case status
                   when 'expired' then 1
                   else least(1, extract(epoch from cancelled_at - created_at)
                                 / nullif(extract(epoch from hold_expires_at - created_at), 0))
                 end as part
          from (
            select id, status, created_at, hold_expires_at, cancelled_at
            from bookings
            where user_id = holder and status in ('expired', 'cancelled') and show_id = of_show
              and hold_expires_at > lapsed_after and confirmed_at is null
            union all
            select id, status, created_at, hold_expires_at, cancelled_at
            from bookings
            where of_show is null and user_id = holder and status in ('expired', 'cancelled') and show_id is null
              and hold_expires_at > lapsed_after and confirmed_at is null
          ) as unpaid
        ) as ended
        -- What was called off has ended before its time.
        where ended_at > lapsed_after
      ) as counted
    )
$$;
