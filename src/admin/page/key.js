import { $, change, make, span, time } from '/ask.js'

const KINDS = {
  network: 'a network',
  principal: 'a principal',
  member: 'a member device',
  token: 'an unverified token',
  class: 'a class of devices in a network',
  sources: 'what a limit counts by',
}

const DURATIONS = [
  ['15m', '15 minutes'],
  ['1h', '1 hour'],
  ['24h', '1 day'],
  ['7d', '7 days'],
]

/** Shows keys with their buckets, and what can be done about them. `changed` is called when something was. */
export function showKeys(states, changed) {
  $('keys-section').hidden = false
  $('keys').replaceChildren(...states.map((state) => card(state, changed)))
  $('keys-title').focus()
}

function card(state, changed) {
  const say = make('p', { role: 'status' })
  const order = state.order && make('p', { class: 'bad' }, state.order.kind === 'ban' ? 'Banned until ' : 'Granted until ', time(state.order.until_ms), `: ${state.order.reason}`)
  const kind = state.kind === null ? 'nobody was refused under it lately' : `${KINDS[state.kind]}${state.limit === null ? '' : `, under limit ${state.limit} alone`}`
  let shown = buckets(state.buckets)
  const after = (action, answer) => {
    if (action === 'reset') {
      const isShown = (one) => state.buckets === null || state.buckets.some(({ limit, bucket }) => limit === one.limit && bucket === one.bucket)
      const filled = buckets(answer.buckets && answer.buckets.filter(isShown))
      shown.replaceWith(filled)
      shown = filled
    }
    changed()
  }
  return make(
    'article',
    { 'aria-label': `Key ${state.key}` },
    make('h3', {}, make('code', {}, state.key)),
    make('p', { class: 'quiet' }, kind, state.refused === null ? '' : `, refused ${state.refused.count} times`),
    ...(order === null ? [] : [order]),
    shown,
    ...state.untold.map(({ limit, why }) => make('p', { class: 'quiet' }, `Not shown: ${limit}. ${why[0].toUpperCase()}${why.slice(1)}.`)),
    actions(state, say, after),
    say,
  )
}

function buckets(list) {
  if (list === null) return make('p', { class: 'bad' }, 'The shared store is away: its buckets cannot be read.')
  const heads = ['Limit', 'Bucket', 'Left', 'Owed', 'Next token', 'Full'].map((head) => make('th', { scope: 'col' }, head))
  const rows = list.map((bucket) =>
    make(
      'tr',
      bucket.remaining < 1 ? { class: 'bad' } : {},
      ...[
        bucket.limit,
        bucket.bucket,
        `${bucket.remaining} of ${Math.round(bucket.burst)}`,
        bucket.debt.toFixed(1),
        bucket.debt > 0 ? span(bucket.next_ms) : '-',
        bucket.debt > 0 ? span(bucket.full_ms) : 'full',
      ].map((text) => make('td', {}, text)),
    ),
  )
  return make(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Its buckets' },
    make('table', {}, make('thead', {}, make('tr', {}, ...heads)), make('tbody', {}, ...rows)),
  )
}

function actions({ key, limit }, say, after) {
  const reason = make('input', { name: 'reason', maxlength: 300, required: '', autocomplete: 'off' })
  const duration = make('select', { name: 'for' }, ...DURATIONS.map(([value, text]) => make('option', { value }, text)))
  const button = (action, text) => make('button', { name: 'action', value: action }, text)
  return make(
    'form',
    {
      async submit(event) {
        event.preventDefault()
        const action = event.submitter.value
        const order = { key, reason: reason.value, ...(action === 'reset' ? {} : { for: duration.value }) }
        try {
          const answer = await change(action, order)
          say.className = 'good'
          say.textContent = { reset: 'Its buckets are full.', ban: 'It is refused from now on.', grant: 'No limit counts it from now on.' }[action]
          after(action, answer)
        } catch (error) {
          say.className = 'bad'
          say.textContent = error.message
        }
      },
    },
    make('label', {}, 'Reason', reason),
    // A ban or grant holds for a client, not for what one limit counts it by.
    ...(limit === null ? [make('label', {}, 'For', duration)] : []),
    button('reset', 'Reset buckets'),
    ...(limit === null ? [button('ban', 'Ban'), button('grant', 'Grant')] : []),
  )
}
