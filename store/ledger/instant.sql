-- ledger_instant(microseconds since 1970): the time, exactly. Interval arithmetic counts in doubles, so whole hours go
-- apart from the rest: microseconds alone would be rounded before 1684 and after 2255.
create or replace function ledger_instant(p_microseconds bigint) returns timestamptz
language sql immutable strict parallel safe
return timestamptz '1970-01-01 00:00:00+00' + (p_microseconds / 3600000000) * interval '1 hour'
  + (p_microseconds % 3600000000) * interval '1 microsecond'
