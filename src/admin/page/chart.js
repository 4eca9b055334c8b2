import uPlot from '/uplot.js'
import { $ } from '/ask.js'

/** Five minutes, one look every two seconds. */
const LOOKS = 150

/** A colour of the style sheet as a canvas takes it: of a variable only its words could be read. */
function colour(name) {
  const probe = $('chart')
  probe.style.color = `var(${name})`
  const resolved = getComputedStyle(probe).color
  probe.style.color = ''
  return resolved
}
const width = () => Math.max(200, $('chart').clientWidth)

/** Draws requests and refusals a second; `add` adds what they were at a time (seconds). */
export function createChart() {
  const data = [[], [], []]
  let plot = draw()
  const redraw = () => {
    plot.destroy()
    plot = draw()
  }
  new ResizeObserver(() => plot.setSize({ width: width(), height: 200 })).observe($('chart'))
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)

  function draw() {
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } }
    const series = (label, name) => ({ label, stroke: colour(name), width: 2, points: { show: false }, value: (_, v) => (v === null ? '--' : v.toFixed(1)) })
    return new uPlot(
      {
        width: width(),
        height: 200,
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [axis, { ...axis, size: 56 }],
        series: [{ label: 'Time' }, series('Requests / s', '--accent'), series('Refused / s', '--bad')],
      },
      data,
      $('chart'),
    )
  }

  return {
    add(seconds, requests, refused) {
      data[0].push(seconds)
      data[1].push(requests)
      data[2].push(refused)
      for (const values of data) if (values.length > LOOKS) values.shift()
      plot.setData(data)
    },
  }
}
