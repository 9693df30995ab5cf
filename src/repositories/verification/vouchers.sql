-- Vouchers that are used more often than they may be.
select 'voucher ' || voucher.code as "subject!", voucher.max_uses || ' uses at most' as stored,
       'its uses say' as "witness!", used.count::text as said
from public.vouchers as voucher
cross join lateral (
  select count(*) as count
  from public.voucher_redemptions as use
  where use.voucher_id = voucher.id and use.live and not use.beyond_limit
) as used
where used.count > voucher.max_uses
