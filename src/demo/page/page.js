/** The page's three forms. It asks only the server it came from, through whatever stands before that. */

const $ = (id) => document.getElementById(id)

/** The members of a RateLimit field as `"name";r=0;t=7`: what is left, and the seconds to the next token. */
function readRateLimit(headers) {
  const members = [...(headers.get('ratelimit') ?? '').matchAll(/"([^"]*)"((?:;[a-z]+=\d+)*)/g)]
  return members.map(([, name, parameters]) => {
    const { r, t } = Object.fromEntries([...parameters.matchAll(/;([a-z]+)=(\d+)/g)].map(([, k, v]) => [k, Number(v)]))
    return { name, left: r, seconds: t }
  })
}

let countdown
/** Counts down the seconds to the next token, as the last answer told them. */
function showNextToken(headers) {
  const [limit] = readRateLimit(headers)
  if (limit === undefined) return
  clearInterval(countdown)
  let seconds = limit.seconds ?? 0
  const show = () => {
    const wait = limit.left > 0 ? 'now' : seconds > 0 ? `in ${seconds} s` : 'now'
    $('next-token').textContent = `${wait} (${limit.left ?? '?'} left of "${limit.name}" when last told)`
    if (seconds-- <= 0) clearInterval(countdown)
  }
  show()
  countdown = setInterval(show, 1000)
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds))

/** Asks; where it is refused for now, waits as long as it was told to and asks again, as a good client does. */
async function ask(path, options, say) {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(path, options)
    showNextToken(response.headers)
    if (response.status !== 429 || attempt === 5) return response
    const seconds = Number(response.headers.get('retry-after') ?? 1)
    say(`429: waiting ${seconds} s for a token`)
    await pause(seconds)
  }
}

function json(body) {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

function add(list, text, kind = '') {
  const item = document.createElement('li')
  item.textContent = text
  item.className = kind
  $(list).append(item)
  return item
}

const kindOf = (status) => (status < 400 ? 'good' : 'bad')

/** Runs a form's work once at a time, and says what went wrong. The button keeps the focus. */
function onSubmit(form, result, work) {
  const button = $(form).querySelector('button')
  let isBusy = false
  $(form).addEventListener('submit', async (event) => {
    event.preventDefault()
    if (isBusy) return
    isBusy = true
    button.setAttribute('aria-disabled', 'true')
    const say = (text) => {
      $(result).textContent = text
    }
    try {
      await work(new FormData($(form)), say)
    } catch (error) {
      say(`No answer: ${error.message}`)
    }
    button.removeAttribute('aria-disabled')
    isBusy = false
  })
}

onSubmit('burst', 'burst-result', async (data, say) => {
  const count = Number(data.get('count'))
  $('statuses').replaceChildren()
  say(`Sending ${count} requests ...`)
  let refused = 0
  let last
  for (let n = 0; n < count; n++) {
    const response = await fetch('/items?per_page=1', { cache: 'no-store' })
    await response.arrayBuffer()
    add('statuses', response.status, kindOf(response.status))
    if (response.status === 429) refused++
    last = response
    showNextToken(response.headers)
  }
  const [limit] = readRateLimit(last.headers)
  const told = limit === undefined ? 'There are no RateLimit fields: is this page reached through the proxy?' : ''
  say(`${count - refused} answered, ${refused} refused with 429. ${told}`)
})

onSubmit('user', 'user-result', async (data, say) => {
  $('users').replaceChildren()
  for (const time of ['first', 'second']) {
    const response = await ask('/users', json({ email: data.get('email') }), say)
    const body = await response.json()
    add('users', `${time}: ${response.status} ${body.title ?? body.email}`, kindOf(response.status))
    say(body.detail ?? 'Registered.')
  }
})

onSubmit('job', 'job-result', async (data, say) => {
  const order = { partner: data.get('partner') }
  for (const list of ['job-states', 'waited']) $(list).replaceChildren()
  for (const time of ['queued-time', 'waited-time']) $(time).textContent = '...'
  say('Asked in both ways at once.')
  const outcomes = await Promise.allSettled([queued(order, say), waited(order, say)])
  const failed = outcomes.find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw failed.reason
  say('Both are over.')
})

async function waited(order, say) {
  const begin = performance.now()
  const response = await ask('/integrations?wait=1', json(order), say)
  const body = await response.json()
  $('waited-time').textContent = `${Math.round(performance.now() - begin)} ms`
  add('waited', `${response.status} ${body.detail ?? body.result?.reference ?? ''}`, kindOf(response.status))
}

async function queued(order, say) {
  const begin = performance.now()
  const accepted = await ask('/integrations', json(order), say)
  const job = await accepted.json()
  $('queued-time').textContent = `${Math.round(performance.now() - begin)} ms`
  add('job-states', `${accepted.status} ${job.state ?? job.detail}`, kindOf(accepted.status))
  if (accepted.status !== 202) return
  for (let isOver = false; !isOver; ) isOver = await follow(accepted.headers.get('location'), begin, say)
}

/** Shows each state of the job as its events tell it; true when it is over. By fetch, for an EventSource hides a 429. */
async function follow(location, begin, say) {
  const response = await ask(`${location}/events`, {}, say)
  if (!response.ok) throw new Error(`${response.status} for the job's events`)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value
    const events = text.split('\n\n')
    text = events.pop()
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1]
      if (data === undefined) continue
      const job = JSON.parse(data)
      const seconds = ((performance.now() - begin) / 1000).toFixed(1)
      const more = job.result?.reference ?? (job.state === 'failed' ? job.last_error : '')
      const kind = job.state === 'done' ? 'good' : job.state === 'failed' || job.state === 'dead' ? 'bad' : ''
      add('job-states', `${seconds} s ${job.state}, attempt ${job.attempts} ${more}`, kind)
      if (job.finished_at !== null) return true
    }
  }
  // The server or the proxy ended the stream before the job was over.
  await pause(1)
  return false
}
