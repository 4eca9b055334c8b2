import { $, change, fill, find, make, perSecond, rateText, read, time, token } from '/ask.js'
import { createChart } from '/chart.js'
import { showKeys } from '/key.js'

const LOOK = 2000
const chart = createChart()
let last = null

const refusedBy = (limit) => limit.limited + limit.would_limit
const requestsIn = ({ requests }) => Object.values(requests).reduce((sum, count) => sum + count, 0)

/** Shows what is now: the difference between two looks. */
function showStats(stats) {
  const before = last
  last = stats
  $('mode').textContent = stats.mode === 'shadow' ? 'shadow: nobody is refused' : 'enforce'
  $('hash').textContent = stats.policy
  $('store').textContent = stats.store.kind === 'memory' ? 'memory' : stats.store.up ? 'redis, answers' : 'redis, away: breaker open'
  $('store').className = stats.store.up ? '' : 'bad'
  $('inflight').textContent = stats.inflight
  $('buckets').textContent = stats.buckets
  // A restart between two looks counts from the beginning.
  const seconds = before === null ? 0 : (stats.at_ms - before.at_ms) / 1000
  const isComparable = seconds > 0 && requestsIn(stats) >= requestsIn(before)
  const rate = (now, then) => (isComparable ? Math.max(0, now - then) / seconds : 0)
  const all = rate(requestsIn(stats), before && requestsIn(before))
  const refused = rate(stats.requests.limited + stats.requests.denied, before && before.requests.limited + before.requests.denied)
  if (isComparable) {
    $('rates').textContent = `${perSecond(all)} requests a second, of which ${perSecond(refused)} are refused`
    chart.add(stats.at_ms / 1000, all, refused)
  }
  fill('limits', stats.limits.map((limit) => limitRow(limit, before?.limits.find(({ name }) => name === limit.name), rate)), 'There are no limits.')
}

function limitRow(limit, before, rate) {
  const refused = before === undefined ? 0 : rate(refusedBy(limit), refusedBy(before))
  const cells = [
    `${limit.name}${limit.mode === 'shadow' ? ' (shadow)' : ''}`,
    `${rateText(limit.rate)}, ${limit.burst} at once, per ${[limit.per].flat().join(' and ')}`,
    perSecond(before === undefined ? 0 : rate(limit.allowed, before.allowed)),
    perSecond(refused),
    perSecond(before === undefined ? 0 : rate(limit.uncharged, before.uncharged)),
    refusedBy(limit),
  ]
  return make('tr', refused > 0 ? { class: 'bad' } : {}, ...cells.map((cell) => make('td', {}, cell)))
}

function keyButton(key) {
  return make('button', { type: 'button', class: 'key', click: () => openKey(key) }, make('code', {}, key))
}

function showTop({ since_ms, refused }) {
  $('top-since').replaceChildren('Since ', time(since_ms))
  const rows = refused.slice(0, 20).map((one) =>
    make(
      'tr',
      {},
      make('td', {}, keyButton(one.key)),
      make('td', {}, one.tier),
      make('td', {}, one.networks >= 32 ? '32 or more' : one.networks),
      make('td', {}, one.error > 0 ? `${one.count - one.error} to ${one.count}` : one.count),
    ),
  )
  fill('top', rows, 'Nobody was refused.')
}

function showRefusals(refusals) {
  const rows = refusals.slice(0, 10).map((one) =>
    make(
      'tr',
      {},
      make('td', {}, make('button', { type: 'button', class: 'key', 'aria-label': `Explain request ${one.request_id}`, click: () => explain(one.request_id) }, time(one.at_ms))),
      make('td', {}, one.binding ?? '-'),
      make('td', {}, `${Math.ceil(one.wait_ms / 1000)} s`),
      make('td', {}, one.tier),
      make('td', {}, keyButton(one.key)),
    ),
  )
  fill('refusals', rows, 'No limit has refused anybody.')
}

/** How a refusal was decided, and what its key has now. */
async function explain(requestId) {
  await attempt('trouble', async () => {
    const told = await read(`/api/explain?request_id=${encodeURIComponent(requestId)}`)
    $('explained').textContent = JSON.stringify(told, null, 2)
    $('explained').hidden = false
    $('explained').focus()
  })
}

function showOrders(orders) {
  const rows = orders.map((order) => {
    const reason = make('input', { name: 'reason', required: '', maxlength: 300, autocomplete: 'off' })
    const lift = async (event) => {
      event.preventDefault()
      await attempt('orders-title', () => change('lift', { key: order.key, reason: reason.value }))
    }
    return make(
      'li',
      {},
      `${order.kind === 'ban' ? 'Banned' : 'Granted'} until `,
      time(order.until_ms),
      `: ${order.reason} `,
      keyButton(order.key),
      make('form', { submit: lift }, make('label', {}, 'Reason to lift it', reason), make('button', {}, 'Lift')),
    )
  })
  fill('orders', rows, 'There are none.')
}

function showAudit(deeds) {
  const rows = deeds.map(({ at_ms, action, key, reason }) => make('li', {}, time(at_ms), ` ${action} `, make('code', {}, key), `: ${reason}`))
  fill('audit', rows, 'Nothing yet.')
}

function showPolicy({ hash, file, loaded_at_ms, last_reload, policy }) {
  const rows = [
    ['Hash', hash],
    ['File', file ?? 'none: the defaults and the environment'],
    ['Loaded', time(loaded_at_ms)],
    ['Last reload', last_reload === 'success' ? 'taken' : 'refused: the file has problems, see the log; this policy stays'],
  ]
  $('policy').replaceChildren(...rows.map(([term, value]) => make('div', {}, make('dt', {}, term), make('dd', {}, value))))
  $('policy-text').textContent = JSON.stringify(policy, null, 2)
}

async function openKey(key) {
  location.hash = `key=${key}`
  await attempt('find-result', async () => showKeys([await read(`/api/keys/${encodeURIComponent(key)}`)], lookAgain))
}

/** Does something, and says what went wrong. */
async function attempt(place, work) {
  try {
    await work()
    $('trouble').textContent = ''
  } catch (error) {
    const target = $(place).getAttribute('role') === 'status' ? $(place) : $('trouble')
    target.textContent = error.message
  }
  if (place === 'orders-title') {
    $(place).setAttribute('tabindex', '-1')
    $(place).focus()
    await lookAround()
  }
}

async function look() {
  try {
    showStats(await read('/api/stats'))
    $('trouble').textContent = ''
  } catch (error) {
    $('trouble').textContent = `No answer: ${error.message}`
  }
}

async function lookAround() {
  const [top, refusals, orders, audit, policy] = await Promise.all(['refused', 'refusals', 'orders', 'audit', 'policy'].map((path) => read(`/api/${path}`)))
  showTop(top)
  showRefusals(refusals)
  showOrders(orders)
  showAudit(audit)
  if (policy.hash !== $('policy').dataset.hash || policy.last_reload !== $('policy').dataset.reload) showPolicy(policy)
  Object.assign($('policy').dataset, { hash: policy.hash, reload: policy.last_reload })
}

async function lookAgain() {
  await lookAround().catch(() => {})
}

$('find').addEventListener('submit', async (event) => {
  event.preventDefault()
  const shown = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ''))
  $('find-result').textContent = ''
  await attempt('find-result', async () => {
    const states = await find(shown)
    event.target.reset()
    $('find-result').textContent = `${states.length} ${states.length === 1 ? 'key' : 'keys'}, shown below.`
    showKeys(states, lookAgain)
  })
})

$('pseudonym').addEventListener('submit', async (event) => {
  event.preventDefault()
  $('find-result').textContent = ''
  await openKey(new FormData(event.target).get('key'))
})

$('token').addEventListener('submit', (event) => {
  event.preventDefault()
  token.set(new FormData(event.target).get('token'))
  event.target.reset()
  showToken()
})

$('forget').addEventListener('click', () => {
  token.forget()
  showToken()
})

function showToken() {
  $('token-result').textContent =
    token.get() === null
      ? 'Reset, ban, grant and lift need the admin_token of the policy. It is kept for this tab only.'
      : 'A token is kept for this tab. Whether it is the right one shows when something is changed.'
}

async function watch() {
  for (let round = 0; ; round++) {
    await look()
    if (round % 2 === 0) await lookAround().catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, LOOK))
  }
}

showToken()
watch()
const linked = /^#key=([\w~-]+)$/.exec(location.hash)
if (linked !== null) openKey(linked[1])
