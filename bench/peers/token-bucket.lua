-- A token bucket in Redis: the script, the call over a pooled connection, the answer's fields.
local redis = require('redis')

local SCRIPT = [[
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'time')
local tokens = math.min(burst, (tonumber(state[1]) or burst) + (now - (tonumber(state[2]) or now)) * rate)
local allowed = tokens >= 1 and 1 or 0
tokens = tokens - allowed
redis.call('HSET', KEYS[1], 'tokens', tokens, 'time', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000))
return {allowed, math.floor(tokens), math.ceil((1 - tokens) / rate)}
]]

local function new(options)
  local call = redis.evaluator(options.port, SCRIPT)
  local policy = '"device";q=' .. options.burst
  return function(key)
    local answer, err = call(options.prefix .. ngx.encode_base64(key), options.rate, options.burst)
    if not answer then
      ngx.log(ngx.CRIT, 'no decision: ', err)
      return ngx.exit(500)
    end
    ngx.header['RateLimit-Policy'] = policy
    ngx.header['RateLimit'] = '"device";r=' .. answer[2]
    if answer[1] == 0 then
      ngx.header['Retry-After'] = answer[3]
      return ngx.exit(429)
    end
  end
end

return { new = new }
