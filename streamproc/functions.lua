#!lua name=streamproc
-- The steps that must be atomic. A Function has no rollback: each checks everything before its first write, and
-- writes whole values. VERSION rises with every change here, and so does FUNCTIONS_VERSION in connection.py.
local VERSION = 7

local function refuse_type(key, wanted)
  local reply = redis.pcall('TYPE', key)
  return redis.error_reply('WRONGTYPE the key ' .. key .. ' should hold a ' .. wanted
    .. ' and holds a ' .. (reply.ok or '?') .. ': move it away, streamproc needs the name')
end

local function failed(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- Who may commit a partition.
-- KEYS owner group log   ARGV token lease_ms group_name incarnation
-- Returns {holder, cursor, read, incarnation}, or nil while another has it.
local function acquire(keys, args)
  local owner, group, log = keys[1], keys[2], keys[3]
  local holder = redis.pcall('GET', owner)
  if failed(holder) then return refuse_type(owner, 'string') end
  local stored = redis.pcall('HMGET', group, 'cursor', 'read', 'incarnation')
  if failed(stored) then return refuse_type(group, 'hash') end
  local length = redis.pcall('XLEN', log)
  if failed(length) then return refuse_type(log, 'stream') end
  local cursor, read, incarnation = stored[1], stored[2], stored[3]

  if holder then
    if string.match(holder, ':(.*)$') ~= args[1] then return nil end
  end

  local added, last = 0, '0-0'
  if redis.call('EXISTS', log) == 1 then
    local info = redis.call('XINFO', 'STREAM', log)
    for i = 1, #info, 2 do
      if info[i] == 'entries-added' then added = info[i + 1] end
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
  end
  local function before(a, b)
    local ams, aseq = string.match(a, '(%d+)-(%d+)')
    local bms, bseq = string.match(b, '(%d+)-(%d+)')
    ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
    return ams < bms or (ams == bms and aseq < bseq)
  end
  -- A log that ends before the cursor was emptied or rewound: positions of its old life mean nothing any more.
  if not cursor or before(last, cursor) then
    cursor, read, incarnation = '0-0', tostring(added - length), args[4]
  end

  if not holder then
    holder = redis.call('HINCRBY', group, 'epoch', 1) .. ':' .. args[1]
  end
  redis.call('SET', owner, holder, 'PX', args[2])
  redis.call('HSET', group, 'cursor', cursor, 'read', read, 'incarnation', incarnation)
  local created = redis.pcall('XGROUP', 'CREATE', log, args[3], cursor, 'MKSTREAM', 'ENTRIESREAD', read)
  if failed(created) and string.sub(created.err, 1, 9) ~= 'BUSYGROUP' and string.sub(created.err, 1, 10) ~= '-BUSYGROUP' then
    return created
  end
  return {holder, cursor, read, incarnation}
end

-- KEYS owner   ARGV holder lease_ms. Returns 1, or 0 where the lease is not ours any more.
local function renew(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  return redis.call('PEXPIRE', keys[1], args[2])
end

-- KEYS owner   ARGV holder
local function release(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  return redis.call('DEL', keys[1])
end

-- KEYS members   ARGV member ttl_ms (0: leaves). Returns the members that are alive, by name.
local function announce(keys, args)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if args[2] == '0' then
    redis.call('ZREM', keys[1], args[1])
  else
    redis.call('ZADD', keys[1], now + args[2], args[1])
  end
  redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', now)
  local members = redis.call('ZRANGE', keys[1], 0, -1)
  table.sort(members)
  return members
end

-- KEYS hash...   ARGV for each: how many fields, the fields. Returns their values, hash by hash.
local function load(keys, args)
  local result, at = {}, 1
  for i, key in ipairs(keys) do
    local n = tonumber(args[at])
    local values = redis.pcall('HMGET', key, unpack(args, at + 1, at + n))
    if failed(values) then return refuse_type(key, 'hash') end
    result[i] = values
    at = at + n + 1
  end
  return result
end

-- The commit of a batch: state, history, indexes, dead letters, doorbells, cursor and group position, or nothing.
-- KEYS owner group log dead, then for each job its state and its history, other hashes, other streams, sorted sets
-- ARGV holder from to read group_name live_prefix job_prefix_length jobs hashes streams, then operations:
--   J | K fields entries field value ... id payload ...: the next job; J rings its doorbell with the first value
--   M n mark id payload ...: more of that job's history, the mark empty where there is none
--   H hash n field value ...      Z zset score member           R zset member
--   U hash | V zset: drop it      X n id field value ...: a dead letter
--   A stream most id run: add to a stream that keeps so many entries
local function commit(keys, args)
  local owner, group, log, dead = keys[1], keys[2], keys[3], keys[4]
  local holder = redis.pcall('GET', owner)
  if failed(holder) then return refuse_type(owner, 'string') end
  if holder ~= args[1] then
    return redis.error_reply('FENCED the lease is held by ' .. (holder or 'nobody'))
  end
  local cursor = redis.pcall('HGET', group, 'cursor')
  if failed(cursor) then return refuse_type(group, 'hash') end
  if cursor ~= args[2] then return redis.error_reply('CONFLICT ' .. (cursor or '0-0')) end

  local pcall, call, sub = redis.pcall, redis.call, string.sub
  local hashes = 4 + 2 * args[8]
  local streams = hashes + args[9]
  local zsets = streams + args[10]
  for i = 5, hashes, 2 do
    if type(pcall('HLEN', keys[i])) ~= 'number' then return refuse_type(keys[i], 'hash') end
    if type(pcall('XLEN', keys[i + 1])) ~= 'number' then return refuse_type(keys[i + 1], 'stream') end
  end
  for i = hashes + 1, streams do
    if failed(pcall('HLEN', keys[i])) then return refuse_type(keys[i], 'hash') end
  end
  for i = streams + 1, zsets do
    if failed(pcall('XLEN', keys[i])) then return refuse_type(keys[i], 'stream') end
  end
  for i = zsets + 1, #keys do
    if failed(pcall('ZCARD', keys[i])) then return refuse_type(keys[i], 'zset') end
  end
  if failed(pcall('XLEN', dead)) then return refuse_type(dead, 'stream') end
  -- The first write, and the one that shows whether the group is there.
  local moved = pcall('XGROUP', 'SETID', log, args[5], args[3], 'ENTRIESREAD', args[4])
  if failed(moved) then return moved end

  local live, before = args[6], args[7] + 1
  local channels, bells = {}, {}
  local i, last, job = 11, #args, 3
  while i <= last do
    local op = args[i]
    if op == 'J' or op == 'K' then
      job = job + 2
      local state, events = keys[job], keys[job + 1]
      local entries = i + 3 + 2 * args[i + 1]
      local stop = entries + 2 * args[i + 2]
      if entries > i + 3 then call('HSET', state, unpack(args, i + 3, entries - 1)) end
      for j = entries, stop - 1, 2 do
        call('XADD', events, args[j], 'e', args[j + 1])
      end
      if op == 'J' then
        channels[#channels + 1] = live .. sub(state, before, -7)
        bells[#bells + 1] = args[i + 4]
      end
      i = stop
    elseif op == 'M' then
      local events = keys[job + 1]
      local stop = i + 2 + 3 * args[i + 1]
      for j = i + 2, stop - 1, 3 do
        if args[j] == '' then
          call('XADD', events, args[j + 1], 'e', args[j + 2])
        else
          call('XADD', events, args[j + 1], 'e', args[j + 2], 'mark', args[j])
        end
      end
      i = stop
    elseif op == 'H' then
      local stop = i + 2 + 2 * args[i + 2]
      call('HSET', keys[hashes + args[i + 1]], unpack(args, i + 3, stop))
      i = stop + 1
    elseif op == 'Z' then
      call('ZADD', keys[zsets + args[i + 1]], args[i + 2], args[i + 3])
      i = i + 4
    elseif op == 'R' then
      call('ZREM', keys[zsets + args[i + 1]], args[i + 2])
      i = i + 3
    elseif op == 'A' then
      -- Of a log that was begun anew under an earlier clock the runs before it count on, and its own are not added.
      pcall('XADD', keys[streams + args[i + 1]], 'MAXLEN', args[i + 2], args[i + 3], 'r', args[i + 4])
      i = i + 5
    elseif op == 'U' then
      call('UNLINK', keys[hashes + args[i + 1]])
      i = i + 2
    elseif op == 'V' then
      call('UNLINK', keys[zsets + args[i + 1]])
      i = i + 2
    else
      local stop = i + 2 + 2 * args[i + 1]
      call('XADD', dead, args[i + 2], unpack(args, i + 3, stop))
      i = stop + 1
    end
  end
  call('HSET', group, 'cursor', args[3], 'read', args[4])
  -- Ringing a bell that nobody hears costs as much as the history entry: ask first who listens.
  for first = 1, #channels, 1000 do
    local listeners = call('PUBSUB', 'SHARDNUMSUB', unpack(channels, first, math.min(first + 999, #channels)))
    for j = 2, #listeners, 2 do
      if listeners[j] > 0 then call('SPUBLISH', listeners[j - 1], bells[first + j / 2 - 1]) end
    end
  end
  return redis.status_reply('OK')
end

-- Append what a sweep of a partition has decided, as its owner.
-- KEYS owner log   ARGV holder payload...
-- Returns the position of the last.
local function sweep(keys, args)
  local holder = redis.pcall('GET', keys[1])
  if failed(holder) then return refuse_type(keys[1], 'string') end
  if holder ~= args[1] then
    return redis.error_reply('FENCED the lease is held by ' .. (holder or 'nobody'))
  end
  if failed(redis.pcall('XLEN', keys[2])) then return refuse_type(keys[2], 'stream') end
  local position
  for i = 2, #args do position = redis.call('XADD', keys[2], '*', 'e', args[i]) end
  return position
end

-- Forget what is kept of kinds, but for those that were used since somebody looked; as the partition's owner.
-- KEYS owner kinds, then the runs of each   ARGV holder, then for each the kind and when it had been used
-- Returns how many were forgotten.
local function forget_kinds(keys, args)
  local owner, kinds = keys[1], keys[2]
  local holder = redis.pcall('GET', owner)
  if failed(holder) then return refuse_type(owner, 'string') end
  if holder ~= args[1] then
    return redis.error_reply('FENCED the lease is held by ' .. (holder or 'nobody'))
  end
  if failed(redis.pcall('ZCARD', kinds)) then return refuse_type(kinds, 'zset') end
  for i = 3, #keys do
    if failed(redis.pcall('XLEN', keys[i])) then return refuse_type(keys[i], 'stream') end
  end
  local forgotten = 0
  for i = 3, #keys do
    local kind, used = args[2 * i - 4], args[2 * i - 3]
    if redis.call('ZSCORE', kinds, kind) == used then
      redis.call('UNLINK', keys[i])
      forgotten = forgotten + redis.call('ZREM', kinds, kind)
    end
  end
  return forgotten
end

-- Create a job once. KEYS created log   ARGV digest payload keep_seconds
-- Returns {1, position}, {0} where it was created with the same content, {-1} with other content.
local function create(keys, args)
  local digest = redis.pcall('GET', keys[1])
  if failed(digest) then return refuse_type(keys[1], 'string') end
  if digest then
    return {digest == args[1] and 0 or -1}
  end
  local position = redis.pcall('XADD', keys[2], '*', 'e', args[2])
  if failed(position) then return refuse_type(keys[2], 'stream') end
  redis.call('SET', keys[1], args[1], 'EX', args[3])
  return {1, position}
end

-- A part of the jobs that indexes of a partition list, read as of one moment: a job that goes from one of them to another
-- is in this or in that.
-- KEYS index...   ARGV count order (ZRANGEBYSCORE or ZREVRANGEBYSCORE) from to [score job: only those after that place]
-- Returns {job, score, ...}, up to `count` of each index, each in its order.
local function listed(keys, args)
  local count, order, from, to = tonumber(args[1]), args[2], args[3], args[4]
  local after, last = tonumber(args[5]), args[6]
  local result = {}
  for _, key in ipairs(keys) do
    local at, found, page = 0, 0, nil
    repeat
      page = redis.pcall(order, key, from, to, 'WITHSCORES', 'LIMIT', at, count)
      if failed(page) then return refuse_type(key, 'zset') end
      for i = 1, #page, 2 do
        local job, passed = page[i], true
        if after and tonumber(page[i + 1]) == after then
          if order == 'ZRANGEBYSCORE' then passed = job > last else passed = job < last end
        end
        if passed and found < count then
          result[#result + 1] = job
          result[#result + 1] = page[i + 1]
          found = found + 1
        end
      end
      at = at + count
    until found == count or #page < 2 * count
  end
  return result
end

-- Take a job out of its queues, and append what it is taken for. KEYS log queue...   ARGV member payload...
-- Returns the position of the last, or nil where it isn't in the first of the queues: somebody else was faster.
local function take(keys, args)
  if failed(redis.pcall('XLEN', keys[1])) then return refuse_type(keys[1], 'stream') end
  for i = 2, #keys do
    if failed(redis.pcall('ZCARD', keys[i])) then return refuse_type(keys[i], 'zset') end
  end
  if redis.call('ZREM', keys[2], args[1]) == 0 then return nil end
  for i = 3, #keys do redis.call('ZREM', keys[i], args[1]) end
  local position
  for i = 2, #args do position = redis.call('XADD', keys[1], '*', 'e', args[i]) end
  return position
end

-- The first jobs of queues of a partition. KEYS the queue of all jobs, then those to read   ARGV the rank of the last
-- Returns {which, {member, score, ...}, ...} of those that have any, counted from 0; nothing where no job waits at all.
local function heads(keys, args)
  local waiting = redis.pcall('ZCARD', keys[1])
  if failed(waiting) then return refuse_type(keys[1], 'zset') end
  local found = {}
  if waiting == 0 then return found end
  for i = 2, #keys do
    local page = redis.pcall('ZRANGE', keys[i], 0, args[1], 'WITHSCORES')
    if failed(page) then return refuse_type(keys[i], 'zset') end
    if #page > 0 then
      found[#found + 1] = i - 2
      found[#found + 1] = page
    end
  end
  return found
end

redis.register_function{function_name = 'sp_version', callback = function() return VERSION end, flags = {'no-writes'}}
redis.register_function{function_name = 'sp_load', callback = load, flags = {'no-writes'}}
redis.register_function('sp_acquire', acquire)
redis.register_function('sp_renew', renew)
redis.register_function('sp_release', release)
redis.register_function('sp_announce', announce)
redis.register_function('sp_commit', commit)
redis.register_function('sp_sweep', sweep)
redis.register_function('sp_forget_kinds', forget_kinds)
redis.register_function('sp_create', create)
redis.register_function('sp_take', take)
redis.register_function{function_name = 'sp_listed', callback = listed, flags = {'no-writes'}}
redis.register_function{function_name = 'sp_heads', callback = heads, flags = {'no-writes'}}
