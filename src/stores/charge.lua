-- Charges the buckets of one request, all or none. Twin of limiter/bucket.ts and stores/memory.ts.
--
-- KEYS[i]   the bucket of debit i; its value is "<debt> <time>": micro-tokens, and microseconds of the last write
-- ARGV[1]   the time in microseconds, or 0 for Redis's own clock (tests of the twins give a time)
-- then seven arguments a debit: capacity (micro-tokens), tokens, seconds (tokens every seconds), cost (micro-tokens), group,
--           reserve (micro-tokens that must stay in the bucket), floor (micro-tokens that it owes at least)
--
-- Replies with every bucket's debt before the charge. Group 0 is charged when all of it is admitted, else nothing is;
-- any other group when group 0 was and all of its own is. Every key written has a TTL: no debt needs no state.
local CLOCK_STEP_US = 1000000

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- MGET gives nil, not an error, for a key of another type; what cannot be read as a bucket counts as a full one.
local values = redis.call('MGET', unpack(KEYS))
local debts, owed, times, kept, refused = {}, {}, {}, {}, {}

for i = 1, #KEYS do
  local at = 7 * i - 6
  local capacity, tokens, seconds = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local debt, time = nil, nil
  if values[i] then
    local a, b = string.match(values[i], '^(%d+) (%d+)$')
    debt, time = tonumber(a), tonumber(b)
  end
  if not debt then
    debt, time = 0, now
  end
  kept[i] = { debt, time }
  local settled = math.min(debt, capacity)
  if now > time then
    -- Whole periods are taken off before multiplying, as in bucket.ts: every product stays below 2^53.
    local periods = math.floor((now - time) / seconds)
    local rest = math.floor((now - time - periods * seconds) * tokens / seconds)
    settled = math.max(0, settled - periods * tokens - rest)
  end
  owed[i] = settled
  debts[i] = math.max(settled, tonumber(ARGV[at + 7]))
  times[i] = (time > now and time - now <= CLOCK_STEP_US) and time or now
  if debts[i] + tonumber(ARGV[at + 4]) + tonumber(ARGV[at + 6]) > capacity then
    refused[ARGV[at + 5]] = true
  end
end

local function write(i, debt)
  local at = 7 * i - 6
  local drain_ms = math.ceil(debt * tonumber(ARGV[at + 3]) / tonumber(ARGV[at + 2]) / 1000)
  -- A bucket waits for a clock that stepped back a little: its key must outlive that wait.
  local ahead_ms = math.ceil((times[i] - now) / 1000)
  redis.call('SET', KEYS[i], string.format('%.0f %.0f', debt, times[i]), 'PX',
    string.format('%.0f', math.max(1, drain_ms + ahead_ms)))
end

for i = 1, #KEYS do
  local at = 7 * i - 6
  if not refused['0'] and not refused[ARGV[at + 5]] then
    write(i, debts[i] + tonumber(ARGV[at + 4]))
  elseif kept[i][2] - now > CLOCK_STEP_US and owed[i] > 0 then
    write(i, owed[i])
  end
end

return debts
