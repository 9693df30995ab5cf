-- The gauge as a whole: also of payments whose bookings are gone.
select 'all payments in ' || currency as "subject!", payments || ' of them oddly' as stored,
       'the gauge says' as "witness!",
       unplaced_minor || ' ' || currency || ' are in none of its places, or in two' as said
from public.money_unplaced
where unplaced_minor <> 0
