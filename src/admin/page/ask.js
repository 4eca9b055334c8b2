// Asking the API, and building what is shown. Whatever comes is shown as text, never as HTML.

const KEPT = 'sluice-admin-token'

export const $ = (id) => document.getElementById(id)

export const token = {
  get: () => sessionStorage.getItem(KEPT),
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
}

/** An element with attributes, or properties where they are functions, and children: elements or texts. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value)
    else if (value !== null) element.setAttribute(key, value)
  }
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))))
  return element
}

export async function read(path) {
  return answered(await fetch(path, { cache: 'no-store' }))
}

/** Asks by POST: it changes nothing, but must not stand in an address. */
export async function find(shown) {
  return answered(await fetch('/api/lookup', json(shown, {})))
}

/** Changes something, with the token. */
export async function change(action, order) {
  const kept = token.get()
  if (kept === null) throw new Error('This needs the admin token: give it below, under "Admin token".')
  return answered(await fetch(`/api/${action}`, json(order, { authorization: `Bearer ${kept}` })))
}

function json(body, headers) {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }
}

async function answered(response) {
  const body = await response.json()
  if (!response.ok) throw new Error(body.detail ?? `${response.status}`)
  return body
}

/** Shows rows unless somebody is at them with the keyboard: what has the focus must not vanish. */
export function fill(id, children, none) {
  const list = $(id)
  if (list.contains(document.activeElement)) return
  if (children.length > 0) return list.replaceChildren(...children)
  const empty = list.tagName === 'TBODY' ? make('tr', {}, make('td', { colspan: 9, class: 'quiet' }, none)) : make('li', { class: 'quiet' }, none)
  list.replaceChildren(empty)
}

export function perSecond(value) {
  return value >= 100 || value === 0 ? String(Math.round(value)) : value.toFixed(1)
}

/** Tokens a second, in the unit in which they are a number to read. */
export function rateText(tokens) {
  const units = [
    ['s', 1],
    ['min', 60],
    ['h', 3600],
    ['d', 86_400],
  ]
  const [unit, seconds] = units.find(([, length]) => tokens * length >= 1) ?? units[3]
  return `${Number((tokens * seconds).toFixed(1))} / ${unit}`
}

export function time(ms) {
  return make('time', { datetime: new Date(ms).toISOString() }, new Date(ms).toLocaleString())
}

/** Milliseconds as a person says them. */
export function span(ms) {
  if (ms <= 0) return 'now'
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return `${Math.round(seconds / 3600)} h`
}
