-- The roll of a network's members, and of its parents', which several instances share.
--
-- KEYS      for each level, the network first: the members, then those of them that are aged; sorted sets of identities by
--           the time at which they were last noted (milliseconds)
-- ARGV[1]   how long (milliseconds) a member stays that nobody notes
-- ARGV[2]   the identity
-- ARGV[3]   '' to look only, 'fresh' or 'aged' to note it
-- then for each level the most members that it takes
--
-- Replies with the identity's standing in the network (0 absent, 1 fresh, 2 aged), then for each level how many members are
-- live and how many of them are aged. Who is noted and was not there is entered on every level, or, where one is full, on none.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local idle, id, note = tonumber(ARGV[1]), ARGV[2], ARGV[3]

for k = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now - idle)
end

if note ~= '' then
  local has_room = true
  for k = 1, #KEYS, 2 do
    local is_there = redis.call('ZSCORE', KEYS[k], id)
    if not is_there and redis.call('ZCARD', KEYS[k]) >= tonumber(ARGV[3 + (k + 1) / 2]) then
      has_room = false
    end
  end
  if has_room then
    for k = 1, #KEYS, 2 do
      redis.call('ZADD', KEYS[k], now, id)
      redis.call('PEXPIRE', KEYS[k], idle)
      if note == 'aged' or redis.call('ZSCORE', KEYS[k + 1], id) then
        redis.call('ZADD', KEYS[k + 1], now, id)
        redis.call('PEXPIRE', KEYS[k + 1], idle)
      end
    end
  end
end

local standing = 0
if redis.call('ZSCORE', KEYS[1], id) then
  standing = redis.call('ZSCORE', KEYS[2], id) and 2 or 1
end
local reply = { standing }
for k = 1, #KEYS do
  reply[k + 1] = redis.call('ZCARD', KEYS[k])
end
return reply
