-- ledger_insert_1(…): the rows of a group's accepted events, those with a position. Arrays run in parallel, but for
-- a_*, which e_aggregate points into.
create or replace function ledger_insert_1(
  p_tenant int, p_recorded_at timestamptz, a_type text[], a_id text[],
  e_position bigint[], e_sequence bigint[], e_stream int[], e_aggregate int[], e_id text[], e_type text[],
  e_correlation text[], e_causation text[], e_time bigint[], e_hash bigint[], e_body text[]
) returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  insert into event_ids (event_id, tenant, position, content_hash)
    select k.id, p_tenant, k.position, k.hash
    from unnest(e_position, e_id, e_hash) k(position, id, hash) where k.position is not null;
  insert into events (tenant, position, stream, sequence_number, ts, recorded_at, event_id, event_type,
                      aggregate_type, aggregate_id, correlation_id, causation_id, body)
    select p_tenant, k.position, k.stream, k.sequence, ledger_instant(k.time), p_recorded_at, k.id, k.type,
           a_type[k.agg], a_id[k.agg], k.correlation, k.causation, k.body
    from unnest(e_position, e_sequence, e_stream, e_aggregate, e_id, e_type, e_correlation, e_causation, e_time, e_body)
         k(position, sequence, stream, agg, id, type, correlation, causation, time, body)
    where k.position is not null;
end $$
