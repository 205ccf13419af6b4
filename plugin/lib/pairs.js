'use strict'

// Which old item of a list (hooks, or a hook's headers) each of the new list was. A wrong answer would send a secret to another's target; no
// answer has an administrator enter it anew. So it takes more than likeness: equal but for one side (what it is called: its URL, its name;
// or all the rest), and nothing else that could be it.

const MASK = 'obfuscated-q3oi6d9X8uenGvdLnHk2' // stays where the host found nothing at that place

const IN_PLACE_MAX = 300 // changed items that are compared with each other, which takes the host's time

const ROUNDS_MAX = 10

const isObject = value => typeof value === 'object' && value !== null

// The host's rule.
const secretKeys = new Map()
function isSecret(key) {
  let is = secretKeys.get(key)
  if (is === undefined) {
    is = key === 'token' || key === 'passphrase' || key === 'encryptionKey' || /password/i.test(key)
    if (secretKeys.size < 1000) secretKeys.set(key, is)
  }
  return is
}

// A value that the host could not put back, for there was none at that place.
const isMasked = value => value === undefined || value === MASK

function secretsOf(item) {
  if (!isObject(item)) return []
  return Object.entries(item).flatMap(([key, value]) => (isObject(value) ? secretsOf(value) : isSecret(key) ? [value] : []))
}

const nameOf = item => item?.url ?? item?.name

function hostOf(item) {
  try {
    return new URL(item.url).host
  } catch {
    return item?.url
  }
}

// The item's text: its secrets as the mere fact that they are there, or without them; whole, or without its name.
function textOf(item, { presence = false, name = true } = {}) {
  const hidden = presence ? MASK : undefined
  const own = name ? undefined : item?.url === undefined ? 'name' : 'url'
  return JSON.stringify(item, function (key, value) {
    if (key === own && this === item) return undefined
    return isSecret(key) && !isObject(value) ? hidden : value
  })
}

// How much two names have in common at both ends, 0 to 1: http://a/x is nearer to http://b/x than to http://b/y.
function likeness(a, b) {
  if (a === b) return 1
  if (typeof a !== 'string' || typeof b !== 'string') return 0
  const most = Math.min(a.length, b.length)
  let front = 0
  while (front < most && a[front] === b[front]) front++
  let back = 0
  while (back < most - front && a.at(-1 - back) === b.at(-1 - back)) back++
  return (front + back) / Math.max(a.length, b.length)
}

// Places by what `keyOf` makes of their items.
function grouped(places, keyOf) {
  const groups = new Map()
  for (const i of places) {
    const key = keyOf(i)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [i])
    else group.push(i)
  }
  return groups
}

// The items of one list that are not paired yet, by what they have in common with others.
class Side {
  constructor(places, items) {
    const rests = new Map([...places].map(i => [i, textOf(items[i], { name: false })]))
    const keys = {
      name: i => nameOf(items[i]),
      rest: i => rests.get(i),
      restAndHost: i => `${hostOf(items[i])} ${rests.get(i)}`,
    }
    this.keys = keys
    this.groups = Object.fromEntries(Object.entries(keys).map(([kind, keyOf]) => [kind, grouped(places, keyOf)]))
  }

  // The one here that item `i` of the other side can be, or undefined.
  only(other, i) {
    const like = kind => this.groups[kind].get(other.keys[kind](i)) ?? []
    const called = like('name')
    const alike = like('rest')
    const near = alike.length > 1 ? like('restAndHost') : alike
    const [one = near[0]] = called
    return called.length <= 1 && near.length <= 1 && (near.length === 0 || near[0] === one) ? one : undefined
  }
}

class Pairing {
  constructor(fresh, old, placed) {
    Object.assign(this, { fresh, old, placed })
    this.pairs = fresh.map(() => undefined) // place in `fresh` → { at: place in `old`, isEqual }
    this.open = new Set(fresh.keys())
    this.free = new Set(old.keys())
  }

  join(i, at, isEqual = false) {
    this.pairs[i] = { at, isEqual }
    this.open.delete(i)
    this.free.delete(at)
  }

  // What has not changed, wherever it is now. Of several equal ones, whose secrets may differ, the order tells, unless one was removed or added.
  equal(presence) {
    const olds = grouped(this.free, at => textOf(this.old[at], { presence }))
    for (const [text, group] of grouped(this.open, i => textOf(this.fresh[i], { presence }))) {
      const candidates = olds.get(text)
      if (candidates === undefined) continue
      const haveSame = new Set(candidates.map(at => JSON.stringify(secretsOf(this.old[at])))).size === 1
      if (group.length !== candidates.length && !haveSame) continue
      group.forEach((i, n) => this.join(i, candidates[Math.min(n, candidates.length - 1)], true))
    }
  }

  isSurelyHidden(i) {
    return secretsOf(this.fresh[i]).every(isMasked)
  }

  // Or is it a new one, whose secret was typed and happens to be that of the place? A page has new ones at the end, and moves what follows a
  // removed one up.
  isLikely(i, at) {
    const [now, before] = [this.fresh[i], this.old[at]]
    return i === at || nameOf(now) === nameOf(before) || this.isSurelyHidden(i) || (at > i && hostOf(now) === hostOf(before))
  }

  // Equal but for one side. Several others that differ in the name alone: that of the same host. Returns how many it has joined.
  oneSided() {
    const fresh = new Side(this.open, this.fresh)
    const old = new Side(this.free, this.old)
    const found = [...this.open]
      .map(i => [i, old.only(fresh, i)])
      .filter(([i, at]) => at !== undefined && fresh.only(old, at) === i && this.isLikely(i, at))
    for (const [i, at] of found) this.join(i, at)
    return found.length
  }

  // Has nothing been moved, as far as can be seen?
  get isInPlace() {
    return this.fresh.length === this.old.length && this.pairs.every((one, i) => (one === undefined ? this.free.has(i) : one.at === i))
  }

  // Several that were changed where they are: none of them has a secret that the host has not put there, and none has a name that is more like
  // another's.
  inPlace() {
    const rest = { presence: true, name: false }
    const isUntouched = i => {
      const before = secretsOf(this.placed[i])
      const now = secretsOf(this.fresh[i])
      return now.length === before.length && now.every((value, n) => value === before[n])
    }
    const isNearest = i => {
      const near = at => likeness(nameOf(this.fresh[i]), nameOf(this.old[at]))
      const here = near(i)
      return [...this.free].every(at => near(at) <= here)
    }
    const isChangedHere = i => textOf(this.fresh[i], rest) === textOf(this.old[i], rest) && isUntouched(i) && isNearest(i)
    if (this.open.size <= IN_PLACE_MAX && this.isInPlace && [...this.open].every(isChangedHere)) for (const i of [...this.open]) this.join(i, i)
  }

  // One alone that has changed altogether: where it was, or at the same host with a secret that is surely hidden.
  last() {
    const withSecret = (places, items) => [...places].filter(i => secretsOf(items[i]).length > 0)
    const [i, ...others] = withSecret(this.open, this.fresh)
    const [at, ...more] = withSecret(this.free, this.old)
    if (i === undefined || at === undefined || others.length + more.length > 0) return
    if ((i === at && this.isInPlace) || (this.isSurelyHidden(i) && hostOf(this.fresh[i]) === hostOf(this.old[at]))) this.join(i, at)
  }
}

// For each item of `fresh`: { at, isEqual }, its place in `old` and whether it is the same but for its secrets; undefined: not known, or new.
// `placed` is the list whose secrets the host has put back, mostly `old` itself.
function pair(fresh, old, placed) {
  const pairing = new Pairing(fresh, old, placed)
  pairing.equal(true)
  pairing.equal(false)
  // what is paired makes room for others to be the only one
  for (let n = 0; n < ROUNDS_MAX && pairing.open.size > 0 && pairing.free.size > 0 && pairing.oneSided() > 0; n++);
  pairing.inPlace()
  pairing.last()
  return pairing.pairs
}

module.exports = { MASK, isMasked, isObject, isSecret, pair, secretsOf }
