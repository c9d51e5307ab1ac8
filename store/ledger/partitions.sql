-- ledger_partitions(upto, size): make sure that positions below `upto` have a partition; new ones hold `size` positions.
-- Called ahead of need, and again by a committer whose row found no partition. Partitions are made on the side and
-- attached: that lock lets readers and writers go on, where CREATE TABLE … PARTITION OF stops both.
create or replace function ledger_partitions(p_upto bigint, p_size bigint) returns int language plpgsql as $$
declare
  reached bigint;
  name text;
  made int := 0;
begin
  perform pg_advisory_xact_lock(1163084289, 0);
  -- The upper bounds as PostgreSQL prints them: FOR VALUES FROM ('0') TO ('16777216').
  select coalesce(max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''(\d+)''\)'))[1]::bigint), 0)
    into reached
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'events'::regclass;
  while reached < p_upto loop
    name := 'events_from_' || reached;
    execute format('create table %I (like events including defaults including constraints)', name);
    execute format('alter table events attach partition %I for values from (%s) to (%s)', name, reached, reached + p_size);
    reached := reached + p_size;
    made := made + 1;
  end loop;
  return made;
end $$
