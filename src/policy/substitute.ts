// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the policy's variables
/** The environment, as `process.env` has it. */
export type Env = Readonly<Record<string, string | undefined>>

/** Text with its variables filled in, or what is wrong with one of them. */
export type Substitution =
  | { readonly text: string; readonly isChanged: boolean; readonly names: readonly string[] }
  | { readonly wrong: string }

const VARIABLE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?/g

/**
 * Fills in `${NAME}` and `${NAME:-default}` (taken where the variable is unset or empty); `$${` stands for `${` itself.
 * It works on a value after parsing, so nothing in the environment can become structure, and what is filled in is not
 * looked at again.
 */
export function substitute(text: string, env: Env): Substitution {
  let wrong: string | undefined
  const names: string[] = []
  const filled = text.replace(VARIABLE, (whole: string, name: string | undefined, fallback: string | undefined) => {
    if (whole === '$${') return '${'
    if (name === undefined) {
      // Not shown: it may stand where a secret should, and be one with ${ in it.
      wrong ??=
        'has a ${ that starts no variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves'
      return ''
    }
    names.push(name)
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (fallback !== undefined) return value || fallback
    if (value === undefined) {
      wrong ??= `the environment has no ${name}; set it, or write a default: \${${name}:-...}`
    }
    return value ?? ''
  })
  return wrong === undefined ? { text: filled, isChanged: names.length > 0, names } : { wrong }
}

/** A plain scalar by YAML 1.2's core schema: null, a boolean, a number, or the text itself. */
export function coreScalar(text: string): string | number | boolean | null {
  if (/^(?:~|null|Null|NULL)?$/.test(text)) return null
  if (/^(?:true|True|TRUE)$/.test(text)) return true
  if (/^(?:false|False|FALSE)$/.test(text)) return false
  if (/^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text)) return Number(text)
  if (/^0(?:o[0-7]+|x[0-9a-fA-F]+)$/.test(text)) return Number(text)
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(text))
    return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  if (/^\.(?:nan|NaN|NAN)$/.test(text)) return Number.NaN
  return text
}
