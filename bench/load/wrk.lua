-- Requests of many clients: wrk -s wrk.lua URL -- <clients file> [delay ms]
-- A line of the file is a client's address and, if it keeps one, its cookie. `spread:N` instead of a file: N addresses without cookies.
local heads = {}
local count, at = 0, 0
local spread = nil

local function head(address, cookie)
  return 'GET /api/items?page=2 HTTP/1.1\r\nHost: bench.example\r\n'
    .. 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n'
    .. 'Accept: application/json\r\nAccept-Language: en-GB,en;q=0.5\r\nX-Forwarded-For: ' .. address .. '\r\n'
    .. (cookie == '' and '' or 'Cookie: ' .. cookie .. '\r\n') .. '\r\n'
end

function init(args)
  local pause = tonumber(args[2] or '0')
  -- wrk asks for a delay where there is a function of that name.
  if pause > 0 then delay = function() return math.random(0, 2 * pause) end end
  spread = args[1]:match('^spread:(%d+)$')
  if spread then
    count = tonumber(spread)
    return
  end
  for line in io.lines(args[1]) do
    local address, cookie = line:match('^(%S+) ?(%S*)$')
    count = count + 1
    heads[count] = head(address, cookie)
  end
end

function request()
  at = at % count + 1
  if spread then
    return head('10.' .. math.floor(at / 65536) .. '.' .. math.floor(at / 256) % 256 .. '.' .. at % 256, '')
  end
  return heads[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"us":%d,"statusErrors":%d,"socketErrors":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
