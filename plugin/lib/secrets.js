'use strict'

// The host shows secrets as a mask, and on saving puts a mask's old value back by place: the first hook gets the first one's
// secret, whichever hook is the first one now. When hooks (or headers) have moved, that is another's secret, which must not go to
// this one's URL. Here, each is paired with the one that it was, and gets its own secret back.

const NEAR_MAX = 10_000 // comparisons of changed ones, which take the host's time
const MASK = 'obfuscated-q3oi6d9X8uenGvdLnHk2' // stays where the host found nothing at that place

// The host's rule.
const isSecret = key => key === 'token' || key === 'passphrase' || key === 'encryptionKey' || /password/i.test(key)
const isObject = value => typeof value === 'object' && value !== null

const holdsSecret = value =>
  isObject(value) && Object.entries(value).some(([key, item]) => (isSecret(key) && !isObject(item)) || holdsSecret(item))

// The item's text, with the mere fact that its secrets are there, or without them.
function textOf(item, showPresence) {
  return JSON.stringify(item, (key, value) => {
    if (!isSecret(key) || isObject(value)) return value
    return showPresence ? MASK : undefined // also for what the host could not put back, which is undefined: it was there
  })
}

// How many properties are alike. Texts count for what they have in common at both ends, so that http://a/x is nearer to http://b/x
// than to http://b/y.
function likeness(a, b) {
  if (a === b) return 1
  if (typeof a === 'string' && typeof b === 'string') {
    const most = Math.min(a.length, b.length)
    let front = 0
    while (front < most && a[front] === b[front]) front++
    let back = 0
    while (back < most - front && a.at(-1 - back) === b.at(-1 - back)) back++
    return (front + back) / (2 * Math.max(a.length, b.length))
  }
  if (!isObject(a) || !isObject(b)) return 0
  return Object.keys(a).reduce((sum, key) => (isSecret(key) ? sum : sum + likeness(a[key], b[key])), 0)
}

// Pairs what has not changed, wherever it is now; of equal ones that at the same place.
function pairEqual(fresh, old, pairs, free, showPresence) {
  const places = new Map() // text → places in the old list
  for (const j of free) {
    const text = textOf(old[j], showPresence)
    places.set(text, [...(places.get(text) ?? []), j])
  }
  const open = [...pairs.keys()].filter(i => pairs.get(i) === undefined)
  const texts = new Map(open.map(i => [i, textOf(fresh[i], showPresence)]))
  const join = (i, j) => {
    pairs.set(i, j)
    free.delete(j)
  }
  for (const i of open) if (free.has(i) && places.get(texts.get(i))?.includes(i)) join(i, i)
  for (const i of open) {
    const j = pairs.get(i) ?? places.get(texts.get(i))?.find(at => free.has(at))
    if (j !== undefined) join(i, j)
  }
}

// Pairs what has changed with the nearest, where each is the other's nearest. Of those equally near it is that at the same place, unless
// the list has become shorter or longer: then nothing tells which it is.
function pairNear(fresh, old, pairs, free) {
  const nearest = (from, candidates, score) => {
    const best = Math.max(...candidates.map(score))
    const found = candidates.filter(at => score(at) === best)
    return found.length === 1 ? found[0] : found.find(at => at === from && fresh.length === old.length)
  }
  const open = new Set([...pairs.keys()].filter(i => pairs.get(i) === undefined))
  if (open.size * free.size > NEAR_MAX) return
  for (let before; before !== open.size && free.size > 0;) {
    before = open.size
    for (const i of open) {
      const j = nearest(i, [...free], at => likeness(fresh[i], old[at]))
      if (j === undefined || nearest(j, [...open], at => likeness(fresh[at], old[j])) !== i) continue
      pairs.set(i, j)
      free.delete(j)
      open.delete(i)
      if (free.size === 0) break
    }
  }
}

// For the items of the fresh list that hold secrets: the old one that each was, or undefined.
function pair(fresh, old) {
  const withSecret = list => [...list.keys()].filter(i => holdsSecret(list[i]))
  const pairs = new Map(withSecret(fresh).map(i => [i, undefined]))
  const free = new Set(withSecret(old))
  for (const showPresence of [true, false]) pairEqual(fresh, old, pairs, free, showPresence)
  pairNear(fresh, old, pairs, free)
  return pairs
}

// `fresh` as it was meant. `placed` is what was at its place before, from which the host put secrets back; `own` what it was.
function restore(fresh, placed, own, path, unknown) {
  if (Array.isArray(fresh)) {
    const olds = Array.isArray(own) ? own : []
    const pairs = pair(fresh, olds)
    return fresh.map((item, i) => restore(item, placed?.[i], olds[pairs.get(i)], [...path, i], unknown))
  }
  if (!isObject(fresh)) return fresh
  const entries = Object.entries(fresh).map(([key, value]) => {
    const at = [...path, key]
    if (!isSecret(key) || isObject(value)) return [key, restore(value, placed?.[key], own?.[key], at, unknown)]
    if (value !== undefined && value !== MASK && value !== placed?.[key]) return [key, value] // typed anew
    if (own?.[key] === undefined) unknown.push(at)
    return [key, own?.[key]]
  })
  return Object.fromEntries(entries)
}

// The configuration in which each secret is its own hook's, or null when it is so already. `old` is the one before (or undefined). What can't be
// told is in `unknown`: pointers of secrets that must be entered anew.
function restoreSecrets(fresh, old) {
  const unknown = []
  const restored = restore(fresh, old, old ?? fresh, [], unknown)
  const changed = JSON.stringify(restored) !== JSON.stringify(fresh)
  return { restored: changed ? restored : null, unknown: unknown.map(path => `/${path.join('/')}`) }
}

// The configuration with every secret under a name that the host hides; the given one itself when they are so already.
function hideSecrets(configuration) {
  const isOpen = hook => typeof hook.advanced?.previousPassphrase === 'string' && hook.advanced.previousPassword === undefined
  if (!configuration.hooks?.some(isOpen)) return configuration
  const hide = hook => {
    if (!isOpen(hook)) return hook
    const { previousPassphrase: previousPassword, ...advanced } = hook.advanced
    return { ...hook, advanced: { ...advanced, previousPassword } }
  }
  return { ...configuration, hooks: configuration.hooks.map(hide) }
}

module.exports = { restoreSecrets, hideSecrets }
