const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const COMMON = /^(\d\d)\/([A-Z][a-z][a-z])\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$/
const ISO = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:?\d\d)$/

/** `10/Oct/2000:13:55:36 -0700`, as microseconds since the epoch; null for anything else. */
export const readCommonTime = remembered((text) => {
  const match = COMMON.exec(text)
  if (match === null) return null
  const [, day, monthName, year, hour, minute, second, sign, zoneHours, zoneMinutes] = match
  const month = MONTHS.indexOf(monthName!)
  const utcMs = Date.UTC(Number(year), month, Number(day), Number(hour), Number(minute), Number(second))
  const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000
  return month === -1 ? null : (utcMs - (sign === '-' ? -zoneMs : zoneMs)) * 1000
})

/** `2016-04-15T20:17:00.310Z`, with up to nine digits of a second, as microseconds since the epoch; null for anything else. */
export const readIsoTime = remembered((text) => {
  const match = ISO.exec(text)
  if (match === null) return null
  const wholeMs = Date.parse(text.replace(/\.\d+/, ''))
  if (Number.isNaN(wholeMs)) return null
  return wholeMs * 1000 + Number((match[1] ?? '').padEnd(6, '0').slice(0, 6))
})

/** Lines of one second repeat their time. */
function remembered(read: (text: string) => number | null): (text: string) => number | null {
  let last = ''
  let value: number | null = null
  return (text) => {
    if (text !== last) {
      value = read(text)
      // A copy: a part of a chunk, remembered, would keep the whole chunk in memory.
      last = Buffer.from(text, 'latin1').toString('latin1')
    }
    return value
  }
}
