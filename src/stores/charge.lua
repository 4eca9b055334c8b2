-- Charges the buckets of several requests, one request after the other, each all or none. Twin of limiter/bucket.ts and
-- stores/memory.ts.
--
-- KEYS      each bucket once; its value is the time of the last write (microseconds, 7 bytes, the highest first), then the
--           debt (micro-tokens, as few bytes as hold it, 1 to 8)
-- ARGV[1]   the time in microseconds, or 0 for Redis's own clock (tests of the twins give a time)
-- ARGV[2]   the time after which the senders no longer wait, and nothing is charged; or 0
-- then for each request the number of its debits, and for each of those nine: the number of its key (from 1), capacity
--           (micro-tokens), tokens, seconds (tokens every seconds), cost (micro-tokens), group, reserve (micro-tokens that
--           must stay in the bucket), floor (micro-tokens that it owes at least), lease (micro-tokens to take beside the cost)
--
-- Replies with the time, and with every debit's debt before its request was charged; with the time alone when that is
-- too late. Group 0 is charged when all of it is admitted, else nothing is; any other group when group 0 was and all of its
-- own is. Of a lease no more is taken than half of what the cost leaves, in whole tokens. A cost below 0 gives tokens back,
-- to a bucket that is there. Every key written has a TTL: no debt needs no state.
local CLOCK_STEP_US = 1000000
local TOKEN = 1000000
local FIELDS = 9

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local deadline = tonumber(ARGV[2])
if deadline > 0 and now > deadline then
  return { now }
end

local function whole(bytes, from, to)
  local number = 0
  for i = from, to do
    number = number * 256 + string.byte(bytes, i)
  end
  return number
end

local function bytes_of(number)
  local bytes = ''
  repeat
    bytes = string.char(number % 256) .. bytes
    number = math.floor(number / 256)
  until number == 0
  return bytes
end

-- What cannot be read as a bucket, or is of another type, counts as a full one. A time between 1978 and 2255 begins with a
-- byte that no text begins with. Not MGET: Redis keeps the objects of its arguments for the next call, and SET would store
-- its value in one that a key has made larger.
local held, times, found, drains, rewritten = {}, {}, {}, {}, {}
for k = 1, #KEYS do
  local value = redis.pcall('GET', KEYS[k])
  held[k], times[k] = 0, now
  found[k] = type(value) == 'string'
  if found[k] and #value >= 8 and #value <= 15 then
    local first = string.byte(value, 1)
    if first >= 1 and first < 32 then
      times[k], held[k] = whole(value, 1, 7), whole(value, 8, #value)
    end
  end
end

local reply = { now }
local at = 3

while ARGV[at] do
  local count = tonumber(ARGV[at])
  local refused, debts, owed = {}, {}, {}
  for i = 1, count do
    local a = at + 1 + FIELDS * (i - 1)
    local k, capacity = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
    local tokens, seconds = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    local settled, time = math.min(held[k], capacity), times[k]
    if now > time then
      -- Whole periods are taken off before multiplying, as in bucket.ts: every product stays below 2^53.
      local periods = math.floor((now - time) / seconds)
      local rest = math.floor((now - time - periods * seconds) * tokens / seconds)
      settled = math.max(0, settled - periods * tokens - rest)
    end
    owed[i] = settled
    debts[i] = math.max(settled, tonumber(ARGV[a + 7]))
    reply[#reply + 1] = debts[i]
    if debts[i] + tonumber(ARGV[a + 4]) + tonumber(ARGV[a + 6]) > capacity then
      refused[ARGV[a + 5]] = true
    end
  end
  for i = 1, count do
    local a = at + 1 + FIELDS * (i - 1)
    local k, debt = tonumber(ARGV[a]), nil
    if not refused['0'] and not refused[ARGV[a + 5]] then
      local cost, lease = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 8])
      if lease > 0 then
        local half = (tonumber(ARGV[a + 1]) - debts[i] - cost - tonumber(ARGV[a + 6])) / 2
        cost = cost + math.max(0, math.floor(math.min(lease, half) / TOKEN) * TOKEN)
      end
      if cost >= 0 or found[k] then
        debt = math.max(0, debts[i] + cost)
        found[k] = true
      end
    elseif times[k] - now > CLOCK_STEP_US and owed[i] > 0 then
      debt = owed[i]
    end
    if debt then
      held[k] = debt
      times[k] = (times[k] > now and times[k] - now <= CLOCK_STEP_US) and times[k] or now
      drains[k] = debt * tonumber(ARGV[a + 3]) / tonumber(ARGV[a + 2]) / 1000
      rewritten[k] = true
    end
  end
  at = at + 1 + FIELDS * count
end

for k in pairs(rewritten) do
  -- A bucket waits for a clock that stepped back a little: its key must outlive that wait.
  local ahead_ms = math.ceil((times[k] - now) / 1000)
  local time = bytes_of(times[k])
  redis.call('SET', KEYS[k], string.rep('\0', 7 - #time) .. time .. bytes_of(held[k]), 'PX',
    string.format('%.0f', math.max(1, math.ceil(drains[k]) + ahead_ms)))
end

return reply
