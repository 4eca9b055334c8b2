/** Where a value stands in the policy: map keys and list positions, outermost first. */
export type Path = readonly (string | number)[]

/** The path as messages write it: `limits[0].rate`. The root is the empty text. */
export function pathText(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (!/^[\w$-]{1,64}$/.test(step)) text += `[${JSON.stringify(step.slice(0, 64))}]`
    else text += text === '' ? step : `.${step}`
  }
  return text
}
