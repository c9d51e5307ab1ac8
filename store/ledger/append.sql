-- ledger_append_1(…): commit a group of commands of one tenant, in arrival order, or refuse them one by one.
--
-- One call is one transaction, so the tenant's lock is never held while a client thinks. The order of decisions:
-- lock and last position; known ids (a duplicate gets its first receipt, whatever the versions are now); streams;
-- versions; conditions. Only what is accepted takes a position and a sequence number, so neither has gaps.
--
-- In.  a_*: the group's distinct aggregates. a_expected: the version the group's events imply there before the group,
--      null where none says, -1 where they disagree.
--      e_*: the events. e_aggregate: index into a_*, e_step: how many of the group's events of that aggregate there are
--      up to this one. e_expected: null, or what each event's publisher saw. e_twin: null, or for each event the index
--      of the first one in the group with the same id. e_time: microseconds since 1970.
--      c_*: the commands. c_size: events in each. c_filter: null, or for each a condition as a template for format()
--      with its values in c_values (a json array of texts), to hold for no event from position c_after on.
-- Out. o_first: the position of the first accepted event. Without c_status everything was accepted, from o_first on,
--      and a_version is the aggregates' versions before. With it: 0 accepted, 1 duplicate, 2 an id known with other
--      content, 3 some ids known and some not, 4 no such stream, 5 another version, 6 the condition does not hold;
--      c_event: the event it is about; c_found: the version or position found; e_position and e_sequence of what was
--      accepted; d_*: the first receipts of duplicates.
-- Indexes are 1-based. Arrays that would be all null come as null.
--
-- Plans are made once, perhaps while a partition is empty, and kept while it grows, so each statement is written to have
-- one plan only: an index probe for each element. LATERAL … LIMIT 1 cannot become a join that reads all the tenant has.
-- An aggregate's last version comes from its own index, because sorting is off and no other has that order. (By
-- position the primary key has it too, looks as good while the table is empty, and would be read to its end.)
create or replace function ledger_append_1(
  p_tenant int, p_streams int[],
  a_type text[], a_id text[], a_expected bigint[],
  e_stream int[], e_aggregate int[], e_step int[], e_id text[], e_type text[], e_correlation text[], e_causation text[],
  e_time bigint[], e_hash bigint[], e_body text[],
  e_expected bigint[], e_twin int[], c_size int[], c_after bigint[], c_filter text[], c_values jsonb,
  out o_epoch int, out o_first bigint, out o_recorded_at timestamptz, out a_version bigint[],
  out c_status int[], out c_event int[], out c_found bigint[], out e_position bigint[], out e_sequence bigint[],
  out d_event int[], out d_position bigint[], out d_sequence bigint[], out d_recorded_at timestamptz[], out d_stream text[]
) language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set enable_sort = off set lock_timeout = '2s'
as $$
declare
  total int := cardinality(e_id);
  live int[];
  version bigint[];
  known bigint[];   -- by event: position of the event with this id, in the log or earlier in the group
  same boolean[];   -- by event: whether that one has the same content
  holder int[];     -- by first twin: the accepted event that has their id
  flushed int := 0; -- events up to here are inserted if they were accepted
  next bigint;
  head int; tail int; j int; s int; t int; a int;
  status int; about int; found bigint; repeats int;
  fails boolean;
begin
  perform pg_advisory_xact_lock(1163084290, p_tenant);
  select t.epoch into o_epoch from tenants t where t.tenant = p_tenant;
  select e.position + 1, greatest(clock_timestamp(), e.recorded_at) into o_first, o_recorded_at
    from events e where e.tenant = p_tenant order by e.position desc limit 1;
  if o_first is null then
    o_first := 1;
    o_recorded_at := clock_timestamp();
  end if;

  select array_agg(k.ord::int order by k.ord), array_agg(i.position order by k.ord),
         array_agg(i.content_hash = e_hash[k.ord] order by k.ord)
    into d_event, known, same
    from unnest(e_id) with ordinality k(id, ord)
    cross join lateral (
      select i.position, i.content_hash from event_ids i where i.event_id = k.id and i.tenant = p_tenant limit 1) i;
  select array_agg(k.key) into live
    from unnest(p_streams) k(key)
    cross join lateral (
      select from streams s where s.key = k.key and s.tenant = p_tenant and s.engine = 'LEDGER' and s.deleted_at is null
      limit 1) l;
  select array_agg(coalesce(l.sequence_number, 0) order by k.ord),
         coalesce(bool_or(k.expected <> coalesce(l.sequence_number, 0)), false)
    into version, fails
    from unnest(a_type, a_id, a_expected) with ordinality k(type, id, expected, ord)
    left join lateral (
      select e.sequence_number from events e
      where e.aggregate_id = k.id and e.aggregate_type = k.type and e.tenant = p_tenant
      order by e.sequence_number desc limit 1) l on true;

  if d_event is null and e_twin is null and c_filter is null and not fails
     and cardinality(live) = cardinality(p_streams) then
    a_version := version;
    insert into event_ids (event_id, tenant, position, content_hash)
      select k.id, p_tenant, o_first + k.ord - 1, k.hash from unnest(e_id, e_hash) with ordinality k(id, hash, ord);
    insert into events (tenant, position, stream, sequence_number, ts, recorded_at, event_id, event_type,
                        aggregate_type, aggregate_id, correlation_id, causation_id, body)
      select p_tenant, o_first + k.ord - 1, k.stream, version[k.agg] + k.step, ledger_instant(k.time), o_recorded_at,
             k.id, k.type, a_type[k.agg], a_id[k.agg], k.correlation, k.causation, k.body
      from unnest(e_stream, e_aggregate, e_step, e_id, e_type, e_correlation, e_causation, e_time, e_body)
           with ordinality k(stream, agg, step, id, type, correlation, causation, time, body, ord);
    return;
  end if;

  -- Something collides: decide command by command, then insert what was accepted.
  if d_event is not null then
    select array_agg(d.position order by k.ord), array_agg(d.same order by k.ord) into known, same
      from generate_series(1, total) k(ord)
      left join unnest(d_event, known, same) d(event, position, same) on d.event = k.ord;
  else
    known := array_fill(null::bigint, array[total]);
    same := array_fill(null::boolean, array[total]);
  end if;
  e_position := array_fill(null::bigint, array[total]);
  e_sequence := e_position;
  holder := array_fill(null::int, array[total]);
  c_status := array_fill(0, array[cardinality(c_size)]);
  c_event := array_fill(null::int, array[cardinality(c_size)]);
  c_found := array_fill(null::bigint, array[cardinality(c_size)]);
  next := o_first;
  tail := 0;
  for j in 1..cardinality(c_size) loop
    head := tail + 1;
    tail := tail + c_size[j];
    status := 0; about := null; found := null; repeats := 0;

    for s in head..tail loop
      if known[s] is null and e_twin is not null and holder[e_twin[s]] is not null then
        t := holder[e_twin[s]];
        known[s] := e_position[t];
        same[s] := e_hash[s] = e_hash[t];
      end if;
      if known[s] is not null then
        repeats := repeats + 1;
        if not same[s] then
          status := 2; about := s; found := known[s];
          exit;
        end if;
        if about is null then
          about := s; found := known[s];
        end if;
      end if;
    end loop;
    if status = 0 and repeats > 0 then
      status := case when repeats = c_size[j] then 1 else 3 end;
    end if;

    if status = 0 then
      for s in head..tail loop
        if live is null or e_stream[s] <> all(live) then
          status := 4; about := s;
          exit;
        end if;
      end loop;
    end if;

    if status = 0 then
      t := head; -- events before this one have counted in `version`
      for s in head..tail loop
        a := e_aggregate[s];
        if a is not null then
          if e_expected is not null and e_expected[s] is not null and e_expected[s] <> version[a] then
            status := 5; about := s; found := version[a];
            exit;
          end if;
          version[a] := version[a] + 1;
          e_sequence[s] := version[a];
        end if;
        t := s + 1;
      end loop;
      if status = 0 and c_filter is not null and c_filter[j] is not null then
        -- The condition must see the group's earlier events, so they go in first.
        if flushed < head - 1 then
          perform ledger_insert_1(p_tenant, o_recorded_at, a_type, a_id,
            e_position[flushed+1:head-1], e_sequence[flushed+1:head-1], e_stream[flushed+1:head-1],
            e_aggregate[flushed+1:head-1], e_id[flushed+1:head-1], e_type[flushed+1:head-1],
            e_correlation[flushed+1:head-1], e_causation[flushed+1:head-1], e_time[flushed+1:head-1],
            e_hash[flushed+1:head-1], e_body[flushed+1:head-1]);
          flushed := head - 1;
        end if;
        execute 'select exists (select from events e where e.tenant = $1 and e.position >= $2 and ('
          || format(c_filter[j], variadic array(select jsonb_array_elements_text(c_values -> (j - 1)))) || '))'
          into fails using p_tenant, c_after[j];
        if fails then
          status := 6;
        end if;
      end if;
      if status <> 0 then
        for s in head..t-1 loop
          a := e_aggregate[s];
          if a is not null then
            version[a] := version[a] - 1;
            e_sequence[s] := null;
          end if;
        end loop;
      end if;
    end if;

    if status = 0 then
      for s in head..tail loop
        e_position[s] := next;
        next := next + 1;
        if e_twin is not null then
          holder[e_twin[s]] := s;
        end if;
      end loop;
    else
      c_status[j] := status; c_event[j] := about; c_found[j] := found;
    end if;
  end loop;

  perform ledger_insert_1(p_tenant, o_recorded_at, a_type, a_id,
    e_position[flushed+1:], e_sequence[flushed+1:], e_stream[flushed+1:], e_aggregate[flushed+1:], e_id[flushed+1:],
    e_type[flushed+1:], e_correlation[flushed+1:], e_causation[flushed+1:], e_time[flushed+1:], e_hash[flushed+1:],
    e_body[flushed+1:]);
  select array_agg(k.ord::int order by k.ord), array_agg(e.position order by k.ord),
         array_agg(e.sequence_number order by k.ord), array_agg(e.recorded_at order by k.ord),
         array_agg(n.stream_name order by k.ord)
    into d_event, d_position, d_sequence, d_recorded_at, d_stream
    from unnest(known) with ordinality k(position, ord)
    cross join lateral (
      select e.stream, e.position, e.sequence_number, e.recorded_at
      from events e where e.tenant = p_tenant and e.position = k.position limit 1) e
    cross join lateral (select n.stream_name from streams n where n.key = e.stream limit 1) n
    where k.position is not null;
end $$
