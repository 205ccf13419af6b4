// How xo-server hides secrets: string values under certain keys are replaced, in parameters that events carry and in
// configurations that are shown. On saving, a replacement that comes back stands for the old value.
const secretKey = key => key === 'token' || key === 'passphrase' || key === 'encryptionKey' || /password/i.test(key)

const SHOWN = 'obfuscated-q3oi6d9X8uenGvdLnHk2' // the host's own constant: pages recognise it

function walk(value, key, replacement) {
  if (typeof value === 'string') return secretKey(key) ? replacement : value
  if (value === null || typeof value !== 'object') return value
  // inside of a list the key is the place in it: a list of strings is never hidden
  if (Array.isArray(value)) return value.map((item, i) => walk(item, String(i), replacement))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name, replacement)]))
}

export const maskParams = params => walk(params, '', '* obfuscated *')
export const maskConfiguration = configuration => walk(configuration, '', SHOWN)

export function unmask(fresh, old) {
  if (fresh === SHOWN) return old
  const mergeable = value => value !== null && typeof value === 'object'
  if (!mergeable(fresh) || !mergeable(old) || Array.isArray(fresh) !== Array.isArray(old)) return fresh
  if (Array.isArray(fresh)) return fresh.map((item, i) => unmask(item, old[i]))
  return Object.fromEntries(Object.entries(fresh).map(([key, item]) => [key, unmask(item, old[key])]))
}
