'use strict'

// The host shows secrets as a mask, and on saving puts a mask's old value back by place: the first hook gets the first one's
// secret, whichever hook is the first one now. When hooks (or headers) have moved, that is another's secret, which must not go to
// this one's URL. Here, each is given the secret of the one that it was (lib/pairs.js).
//
// What the host has put back looks like what was typed, when that happens to be the secret of the one whose place it is now. So a value that is
// not the place's was typed; of one that is, something else must tell.

const { MASK, isMasked, isObject, isSecret, pair, secretsOf } = require('./pairs.js')

// All values at a path, in every item of the lists on the way.
function valuesAt(node, [key, ...rest]) {
  if (key === undefined) return node === undefined ? [] : [node]
  if (!isObject(node)) return []
  if (Array.isArray(node)) return node.flatMap(item => valuesAt(item, rest))
  return valuesAt(node[key], rest)
}

class Restoration {
  #old
  #common = new Map() // path without places → the one value that all the old ones there have
  #known = new Set() // secrets that were typed for what had them before: who saves this knows them
  #doubtful = [] // { path, value }

  constructor(old) {
    this.#old = old
  }

  // `fresh` as it was meant. `placed` is what was at its place before, from which the host put secrets back; `own` what it was, surely so
  // or very likely.
  restore(fresh, placed, own, isSure, path) {
    if (Array.isArray(fresh)) {
      if (secretsOf(fresh).length === 0) return fresh
      const olds = Array.isArray(own) ? own : []
      const pairs = pair(fresh, olds, Array.isArray(placed) ? placed : [])
      return fresh.map((item, i) => {
        const { at, isEqual } = pairs[i] ?? {}
        return this.restore(item, placed?.[i], olds[at], isSure && isEqual, [...path, i])
      })
    }
    if (!isObject(fresh)) return fresh
    const entries = Object.entries(fresh).map(([key, value]) => {
      const at = [...path, key]
      if (!isSecret(key) || isObject(value)) return [key, this.restore(value, placed?.[key], own?.[key], isSure, at)]
      return [key, this.#secret(value, placed?.[key], own, own?.[key], isSure, at)]
    })
    return Object.fromEntries(entries)
  }

  #secret(value, placed, own, was, isSure, path) {
    const mayBeTyped = !isMasked(value)
    if (mayBeTyped && value !== placed) {
      if (value === was) this.#known.add(value)
      return value
    }
    if (was !== undefined) return was
    if (mayBeTyped && own !== undefined && isSure) return value // it had none that could have been hidden
    const common = this.#commonValue(path)
    if (common !== undefined && (!mayBeTyped || value === common)) return common
    this.#doubtful.push({ path, value: mayBeTyped ? value : undefined })
    return value
  }

  // The secret of all that had one there: whichever it was, it had this.
  #commonValue(path) {
    const pattern = path.map(key => (typeof key === 'number' ? '*' : key))
    const text = pattern.join('/')
    if (!this.#common.has(text)) {
      const values = new Set(valuesAt(this.#old, pattern))
      this.#common.set(text, values.size === 1 ? [...values][0] : undefined)
    }
    return this.#common.get(text)
  }

  get unknown() {
    return this.#doubtful.filter(({ value }) => value === undefined || !this.#known.has(value)).map(({ path }) => `/${path.join('/')}`)
  }
}

// The configuration in which each secret is its own hook's, or null when it is so already. `old` is the one before (or undefined). What can't be
// told is in `unknown`: pointers of secrets that must be entered anew.
function restoreSecrets(fresh, old) {
  const text = JSON.stringify(fresh)
  if (old === undefined || text === JSON.stringify(old)) return { restored: null, unknown: [] }
  const restoration = new Restoration(old)
  const restored = restoration.restore(fresh, old, old, true, [])
  return { restored: JSON.stringify(restored) === text ? null : restored, unknown: restoration.unknown }
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
