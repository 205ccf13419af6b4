// The part of the stand-in that calls API methods and tells the plugins' listeners, in xo-server's order.
import Ajv from 'ajv'
import { AsyncLocalStorage } from 'node:async_hooks'
import { MethodNotFound } from 'json-rpc-peer'

import { invalidParameters, serialize, unauthorized } from './errors.mjs'
import { maskParams } from './mask.mjs'

const RANKS = { none: 0, read: 1, write: 2, admin: 3 }
const METHOD_PROPERTIES = new Set(['description', 'params', 'permission', 'resolve'])

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, useDefaults: true })

// XO's parameter schemas: required unless `optional`, nothing else allowed, strings not empty. The schema is changed in place, as
// the host does it: an object that two parameters share is optional for the first one only.
function jsonSchema(schema) {
  if (schema.enum !== undefined) return schema
  const types = new Set([schema.type].flat())
  if (types.has('array') && schema.items !== undefined) jsonSchema(schema.items)
  if (types.has('object')) objectSchema(schema)
  const bare = schema.minLength === undefined && schema.format === undefined && schema.pattern === undefined
  if (types.has('string') && bare) schema.minLength = 1
  return schema
}

function objectSchema(schema) {
  const { properties = {} } = schema
  const names = Object.keys(properties)
  schema.additionalProperties ??= names.length === 0
  const required = names.filter(name => {
    const { optional = false } = properties[name]
    delete properties[name].optional
    jsonSchema(properties[name])
    return !optional
  })
  if (required.length > 0) schema.required ??= required
}

// Calls every listener at once and waits for what they return; a failing one is only logged.
export function emitAndWait(emitter, log, event, data) {
  return Promise.all(
    emitter.listeners(event).map(async listener => {
      try {
        await listener.call(emitter, data)
      } catch (error) {
        log('warn', `${event} listener failure: ${error.stack}`)
      }
    })
  )
}

export const callId = () => Math.random().toString(36).slice(2)

export class Api {
  #contexts = new AsyncLocalStorage()
  methods = { __proto__: null }

  constructor(xo) {
    this.xo = xo
  }

  get context() {
    return this.#contexts.getStore()
  }

  // { namespace: { name: function } }; returns what removes them again.
  add(namespaces) {
    const added = []
    const remove = () => {
      for (const name of added.splice(0)) delete this.methods[name]
    }
    try {
      for (const [namespace, methods] of Object.entries(namespaces))
        for (const [name, method] of Object.entries(methods)) {
          this.#addOne(`${namespace}.${name}`, method)
          added.push(`${namespace}.${name}`)
        }
    } catch (error) {
      remove()
      throw error
    }
    return remove
  }

  #addOne(name, method) {
    if (name in this.methods) throw new Error(`API method ${name} already exists`)
    for (const property of Object.keys(method))
      if (!METHOD_PROPERTIES.has(property)) throw new Error(`invalid prop ${property} for API method ${name}`)
    const { description, params, permission, resolve } = method
    const validate = params && ajv.compile(jsonSchema({ type: 'object', properties: structuredClone(params) }))
    this.methods[name] = Object.assign((...args) => method.apply(this.xo, args), { description, params, permission, resolve, validate })
  }

  call(connection, name, params = {}) {
    const method = this.methods[name]
    if (method === undefined) throw new MethodNotFound(name)
    const user = this.xo.users.get(connection.userId)
    return this.runWithContext(user, () => {
      this.context.connection = connection
      return this.#run(name, method, params)
    })
  }

  async runWithContext(user, run) {
    return this.#contexts.run({ __proto__: null, user, permission: user?.permission ?? 'none' }, run)
  }

  async #run(name, method, params) {
    const { xo } = this
    const { connection, user } = this.context
    const data = {
      callId: callId(),
      userId: user?.id,
      userName: user?.email ?? '(unknown user)',
      userIp: connection.ip,
      method: name,
      params: maskParams(params),
      timestamp: Date.now(),
    }
    await emitAndWait(xo, xo.log, 'xo:preCall', data)
    const after = outcome => {
      const now = Date.now()
      xo.emit('xo:postCall', { ...data, duration: now - data.timestamp, ...outcome, timestamp: now })
    }
    try {
      this.#checkPermission(method)
      if (method.validate !== undefined && !method.validate(params)) throw invalidParameters(method.validate.errors)
      let result = await method(params)
      if (result === undefined) result = true
      if (name === 'session.signIn') {
        const { id, email } = xo.users.get(connection.userId)
        Object.assign(data, { userId: id, userName: email })
      }
      after({ result })
      return result
    } catch (error) {
      after({ error: serialize(error) })
      throw error
    }
  }

  #checkPermission({ permission }) {
    if (permission === null) return
    const { user, permission: actual } = this.context
    if (user === undefined || (permission !== undefined && RANKS[actual] < RANKS[permission])) throw unauthorized(permission)
  }
}
