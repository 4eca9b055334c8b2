-- As much of a Redis client as one script needs: RESP over nginx's cosockets, connections from its pool.

local function encode(words)
  local parts = { '*' .. #words .. '\r\n' }
  for i, word in ipairs(words) do
    word = tostring(word)
    parts[i + 1] = '$' .. #word .. '\r\n' .. word .. '\r\n'
  end
  return table.concat(parts)
end

local function read(socket)
  local line, err = socket:receive()
  if not line then return nil, err end
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == ':' then return tonumber(rest) end
  if kind == '+' then return rest end
  if kind == '-' then return nil, rest end
  if kind == '$' then
    local text, failed = socket:receive(tonumber(rest) + 2)
    if not text then return nil, failed end
    return text:sub(1, -3)
  end
  local list = {}
  for i = 1, tonumber(rest) do
    local item, failed = read(socket)
    if item == nil then return nil, failed end
    list[i] = item
  end
  return list
end

-- Calls a script of one key by its hash, and by its text where Redis does not know it.
local function evaluator(port, script)
  local hash = nil
  return function(key, ...)
    local socket = ngx.socket.tcp()
    socket:settimeouts(1000, 1000, 1000)
    local connected, err = socket:connect('127.0.0.1', port, { pool_size = 256 })
    if not connected then return nil, err end
    local function run(...)
      socket:send(encode({ ... }))
      return read(socket)
    end
    if hash == nil then hash = run('SCRIPT', 'LOAD', script) end
    local answer, failed = run('EVALSHA', hash, 1, key, ...)
    if failed and failed:find('NOSCRIPT', 1, true) then answer, failed = run('EVAL', script, 1, key, ...) end
    if answer == nil then
      socket:close()
      return nil, failed
    end
    socket:setkeepalive(10000, 256)
    return answer
  end
end

return { evaluator = evaluator }
