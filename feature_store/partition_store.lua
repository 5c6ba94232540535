-- The server's side of partition_store.py. One script, so that one hash names all of it; ARGV[1] says which call.
-- Numbers are doubles here: epochs, counters, generations, offsets and event times stay below 2^53.
-- Every key that a call touches is declared in KEYS, so that it runs on clusters and on servers that insist.

-- Refuses an owner that was followed by another, and leaves (epoch, counter) of this call in the fence.
-- Returns what was found, from which the owner sees whether the server has forgotten: another epoch, or a counter below
-- `known`, the last that the owner was told of. Until the owner says a `known` that fits, the counter stays behind, so that
-- the call that is made again after a lost reply finds it, too. An owner that takes the partition knows nothing.
local function pass(fence, epoch_field, counter_field, epoch, counter, known)
  local found = redis.call('HMGET', fence, epoch_field, counter_field)
  local before, stood = tonumber(found[1] or -1), tonumber(found[2] or -1)
  if before > tonumber(epoch) then
    return nil, redis.error_reply('FENCED ' .. found[1])
  end
  if before < tonumber(epoch) then
    redis.call('HSET', fence, epoch_field, epoch, counter_field, known and '-1' or counter)
  elseif stood >= tonumber(known or -1) and stood < tonumber(counter) then
    redis.call('HSET', fence, counter_field, counter)
  end
  return found
end

local calls = {}

-- KEYS: fence manifest previous chunks generation. ARGV: take epoch
function calls.take()
  local found, refused = pass(KEYS[1], 'epoch', 'counter', ARGV[2], '0')
  if refused then return refused end
  return {
    found[1], found[2], redis.call('HGET', KEYS[1], 'flip'), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]),
    redis.call('SMEMBERS', KEYS[4]), redis.call('GET', KEYS[5]),
  }
end

-- KEYS: fence generation vector… ARGV: serve epoch counter known generation lifetime blob…
-- A vector replaces one of a lower or equal (generation, offset); bytes 8 to 23 of it are its generation and offset.
function calls.serve()
  local found, refused = pass(KEYS[1], 'epoch', 'counter', ARGV[2], ARGV[3], ARGV[4])
  if refused then return refused end
  local call, unpack, keys, argv, lifetime = redis.call, struct.unpack, KEYS, ARGV, ARGV[6]
  if tonumber(call('GET', keys[2]) or -1) < tonumber(argv[5]) then
    call('SET', keys[2], argv[5])
  end
  local written = 0
  for i = 3, #keys do
    local blob = argv[i + 4]
    local old = call('GETRANGE', keys[i], 8, 23)
    local newer = true
    if #old == 16 then
      local old_generation, old_offset = unpack('<i8i8', old)
      local generation, offset = unpack('<i8i8', blob, 9)
      newer = generation > old_generation or (generation == old_generation and offset >= old_offset)
    end
    if newer then
      call('SET', keys[i], blob, 'EX', lifetime)
      written = written + 1
    end
  end
  return { found[1], found[2], written }
end

-- KEYS: entries epochs. ARGV: direct epoch counter known partition then entity, entry…
-- An entry belongs to the greatest event time; at equal times to the greater partition, whatever came first.
function calls.direct()
  local found, refused = pass(KEYS[2], ARGV[5], ARGV[5] .. ':counter', ARGV[2], ARGV[3], ARGV[4])
  if refused then return refused end
  local written = 0
  for i = 6, #ARGV, 2 do
    local entry = ARGV[i + 1]
    local old = redis.call('HGET', KEYS[1], ARGV[i])
    if old then
      local old_partition, old_generation, old_time = struct.unpack('<I4I4i8', old)
      local partition, generation, time = struct.unpack('<I4I4i8', entry)
      if partition == old_partition then
        entry = struct.pack('<I4I4i8', partition, math.max(generation, old_generation), math.max(time, old_time))
      elseif time < old_time or (time == old_time and partition < old_partition) then
        entry = old
      end
    end
    if entry ~= old then
      redis.call('HSET', KEYS[1], ARGV[i], entry)
      written = written + 1
    end
  end
  return { found[1], found[2], written }
end

-- KEYS: fence chunks chunk… ARGV: stage epoch counter known then id, bytes…
function calls.stage()
  local found, refused = pass(KEYS[1], 'epoch', 'counter', ARGV[2], ARGV[3], ARGV[4])
  if refused then return refused end
  for i = 3, #KEYS do
    local at = 5 + 2 * (i - 3)
    redis.call('SADD', KEYS[2], ARGV[at])
    redis.call('SET', KEYS[i], ARGV[at + 1])
  end
  return { found[1], found[2], #KEYS - 2 }
end

-- KEYS: fence manifest previous chunks, `named` chunks that must be there, then chunks to delete.
-- ARGV: flip epoch counter known flip expected rotate named manifest then the ids of the chunks to delete
-- `expected` is the flip that the owner believes to be current, so that a repeat that comes late cannot undo a newer one.
function calls.flip()
  local found, refused = pass(KEYS[1], 'epoch', 'counter', ARGV[2], ARGV[3], ARGV[4])
  if refused then return refused end
  local current = redis.call('HGET', KEYS[1], 'flip') or ''
  if current == ARGV[5] then
    return { found[1], found[2], 1 }
  end
  if current ~= ARGV[6] then
    return redis.error_reply('UNEXPECTED ' .. current)
  end
  local named = tonumber(ARGV[8])
  for i = 5, 4 + named do
    if redis.call('EXISTS', KEYS[i]) == 0 then
      return redis.error_reply('UNEXPECTED chunk missing: ' .. KEYS[i])
    end
  end
  local before = redis.call('GET', KEYS[2])
  if before and ARGV[7] == '1' then
    redis.call('SET', KEYS[3], before)
  end
  redis.call('SET', KEYS[2], ARGV[9])
  redis.call('HSET', KEYS[1], 'flip', ARGV[5])
  for i = 5 + named, #KEYS do
    redis.call('DEL', KEYS[i])
    redis.call('SREM', KEYS[4], ARGV[i - named + 5])
  end
  return { found[1], found[2], 1 }
end

return calls[ARGV[1]]()
