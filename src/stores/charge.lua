-- Charges the buckets of several requests, one request after the other, each all or none. Twin of limiter/bucket.ts and
-- stores/memory.ts.
--
-- KEYS      each bucket once; its value is the time of the last write (microseconds, 7 bytes, the highest first), then the
--           debt (micro-tokens, as few bytes as hold it, 1 to 8)
-- ARGV[1]   numbers, each a double of eight bytes, the lowest first: one text for each would be an argument to parse and to
--           turn into a number, which is a third of a charge's work. They are
--           the time in microseconds, or 0 for Redis's own clock (tests of the twins give a time);
--           the time after which the senders no longer wait, and nothing is charged, or 0;
--           then for each request the number of its debits, and for each of those nine: the number of its key (from 1), capacity
--           (micro-tokens), tokens, seconds (tokens every seconds), cost (micro-tokens), group, reserve (micro-tokens that
--           must stay in the bucket), floor (micro-tokens that it owes at least), lease (micro-tokens to take beside the cost)
--
-- Replies with the time, and with every debit's debt before its request was charged; with the time alone when that is
-- too late. Group 0 is charged when all of it is admitted, else nothing is; any other group when group 0 was and all of its
-- own is. Of a lease no more is taken than half of what the cost leaves, in whole tokens. A cost below 0 gives tokens back,
-- to a bucket that is there. Every key written has a TTL: no debt needs no state.
local CLOCK_STEP_US = 1000000
local TOKEN = 1000000
local DEBIT = '<ddddddddd'
local DEBIT_SIZE = 72
-- Of a value, by the bytes of its debt.
local VALUE = { '>I7I1', '>I7I2', '>I7I3', '>I7I4', '>I7I5', '>I7I6', '>I7I7', '>I7I8' }

local numbers = ARGV[1]
local now, deadline, at = struct.unpack('<dd', numbers)
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
if deadline > 0 and now > deadline then
  return { math.floor(now) }
end

-- What cannot be read as a bucket, or is of another type, counts as a full one. A time between 1978 and 2255 begins with a
-- byte that no text begins with. Not MGET: Redis keeps the objects of its arguments for the next call, and SET would store
-- its value in one that a key has made larger.
local held, times, found, drains = {}, {}, {}, {}
for k = 1, #KEYS do
  local value = redis.pcall('GET', KEYS[k])
  local time, debt = now, 0
  found[k] = type(value) == 'string'
  local format = found[k] and VALUE[#value - 7]
  if format then
    local written, owed = struct.unpack(format, value)
    if written >= 2 ^ 48 and written < 2 ^ 53 then
      time, debt = written, owed
    end
  end
  times[k], held[k] = time, debt
end

local reply, size = { math.floor(now) }, 1

while at <= #numbers do
  local count
  count, at = struct.unpack('<d', numbers, at)
  local refused = {}
  for i = 0, count - 1 do
    local k, capacity, tokens, seconds, cost, group, reserve, least = struct.unpack(DEBIT, numbers, at + DEBIT_SIZE * i)
    local debt, time = math.min(held[k], capacity), times[k]
    if now > time then
      -- Whole periods are taken off before multiplying, as in bucket.ts: every product stays below 2^53.
      local periods = math.floor((now - time) / seconds)
      local rest = math.floor((now - time - periods * seconds) * tokens / seconds)
      debt = debt - periods * tokens - rest
    end
    -- Whole already, but Lua 5.4 replies with whole numbers only where they were made so.
    debt = math.floor(math.max(0, debt, least))
    reply[size + 1 + i] = debt
    if debt + cost + reserve > capacity then
      refused[group] = true
    end
  end
  for i = 0, count - 1 do
    local k, capacity, tokens, seconds, cost, group, reserve, _, lease = struct.unpack(DEBIT, numbers, at + DEBIT_SIZE * i)
    local before, time, debt = reply[size + 1 + i], times[k], nil
    if not refused[0] and not refused[group] then
      if lease > 0 then
        cost = cost + math.max(0, math.floor(math.min(lease, (capacity - before - cost - reserve) / 2) / TOKEN) * TOKEN)
      end
      if cost >= 0 or found[k] then
        debt = math.max(0, before + cost)
        found[k] = true
      end
    elseif time - now > CLOCK_STEP_US and held[k] > 0 then
      -- Else a refusal, which writes nothing, would lock the bucket until that time.
      debt = math.min(held[k], capacity)
    end
    if debt then
      held[k] = debt
      times[k] = (time > now and time - now <= CLOCK_STEP_US) and time or now
      drains[k] = debt * seconds / tokens / 1000
    end
  end
  at, size = at + DEBIT_SIZE * count, size + count
end

for k, drain in pairs(drains) do
  local time, debt = times[k], held[k]
  local bytes, limit = 1, 256
  while debt >= limit do
    bytes, limit = bytes + 1, limit * 256
  end
  -- A bucket waits for a clock that stepped back a little: its key must outlive that wait.
  local ttl = math.max(1, math.ceil(drain) + math.ceil((time - now) / 1000))
  -- Lua's own text of a number, which is cheaper, has an exponent above 14 digits.
  redis.call('SET', KEYS[k], struct.pack(VALUE[bytes], time, debt), 'PX', ttl < 1e14 and ttl .. '' or string.format('%.0f', ttl))
end

return reply
