package main

// internalNames are the properties of the client's own objects. They are
// shortened in dist, which saves a twentieth of it. Nothing on the list may be
// a property of the package's surface, of what travels as JSON, or of the
// browser's objects.
var internalNames = []string{
	"acked", "acknowledged", "acks", "after", "again", "answer", "attach", "attempt", "awake", "backoff", "begin",
	"bye", "calls", "carrier", "configure", "connection", "control", "controls", "create", "createFlow", "createPump",
	"createServing", "current", "cursor", "cut", "cutOff", "deliver", "discard", "dispatch", "encodeValue", "end",
	"ended", "entry", "epoch", "fail", "failSome", "finish", "flush", "forget", "forgotten", "freeze", "functions",
	"goAway", "gone", "greet", "greeted", "hand", "head", "heads", "heard", "heardAt", "hello", "isEmpty", "isOver",
	"iterate", "keptBy", "lastId", "leavePage", "letGo", "listen", "listeners", "log", "lose", "more", "moveFailed",
	"moveLater", "moveTimer", "openStream", "params", "patient", "payload", "payloadOf", "place", "posting", "posts",
	"probe", "probing", "queue", "quit", "receive", "refuse", "refused", "renew", "report", "request", "restart",
	"retry", "retryTimer", "room", "sent", "session", "settings", "settle", "shut", "silent", "skip", "socket",
	"socketFrom", "start", "started", "states", "stay", "stop", "successor", "take", "taken", "tell", "token", "told",
	"tries", "upgradeLater", "use", "waiting", "wake", "waking", "watch", "watcher", "welcome", "welcomed", "withdraw",
	"written",
}
