// Errors as XO's API tells them: a code, a message, data.
import { JsonRpcError } from 'json-rpc-peer'

class XoError extends JsonRpcError {
  constructor(code, message, data) {
    super(message, code, data)
    this.name = 'XoError'
  }
}

export const noSuchObject = (id, type) => new XoError(1, `no such ${type} ${id}`, { id, type })
export const unauthorized = permission => new XoError(2, 'not enough permissions', { permission })
export const invalidCredentials = () => new XoError(3, 'invalid credentials')
export const invalidParameters = errors =>
  typeof errors === 'string' ? new XoError(10, errors) : new XoError(10, 'invalid parameters', { errors })

// What events carry of an error.
export const serialize = error => ({ ...error, code: error.code, message: error.message, name: error.name, stack: error.stack })
