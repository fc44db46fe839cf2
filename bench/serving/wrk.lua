-- Sends whole HTTP requests from files, in turn; prints what wrk measured as JSON.
-- wrk -s wrk.lua URL -- FILE...
local requests, at = {}, 0

function init(files)
  for i = 1, #files do
    local file = assert(io.open(files[i], "rb"))
    requests[i] = file:read("*a")
    file:close()
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
