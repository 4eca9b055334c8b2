/** Told to the program under test: what it has used, now and then and at its end, on standard error. */
const MIB = 1024 * 1024

function tell(): void {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed } = process.memoryUsage()
  const cpu = ((user + system) / 1e6).toFixed(1)
  process.stderr.write(
    `${cpu} s of CPU, ${Math.round(rss / MIB)} MiB resident, ${Math.round(heapUsed / MIB)} MiB of heap\n`,
  )
}

setInterval(tell, 5000).unref()
process.once('exit', tell)
