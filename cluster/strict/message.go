package strict

// Kind is the kind of a message.
type Kind uint8

// The kinds of messages. Ping to Consent keep leases and views; the others move pieces, in a stream (stream.go).
const (
	Ping    Kind = iota + 1 // asks a member to prove that it has not given this node up
	Pong                    // the proof: it echoes when the ping was sent
	Tell                    // a view that was decided
	Exclude                 // the proposer asks for consent to a view
	Consent                 // a node promises not to answer those that the view excludes
	Resync                  // the owner asks a holder to begin the stream anew
	Claim                   // what a holder holds of the owner's keys: begins a stream
	Ask                     // a holder wants more of a key
	Grant                   // the owner gives a piece, tokens, or nothing
	Recall                  // the owner asks a holder to give back what it does not need
	Return                  // a holder gives a piece back
	// Those of limits of connections, in the same stream.
	AskSlots    // a holder wants slots of a key
	GrantSlots  // the owner gives slots, or none
	RecallSlots // the owner asks a holder to give back free slots
	ReturnSlots // a holder gives free slots back
)

// Direct reports whether messages of a kind count only if they come from the node that made them: they are proofs and
// promises of that node. The others may be passed on once, with a seal.
func (k Kind) Direct() bool { return k == Ping || k == Pong || k == Exclude || k == Consent }

// slots reports whether a kind is one of limits of connections.
func (k Kind) slots() bool { return k >= AskSlots }

// KeyBytesMost bounds a key, because claims list many: users pass a hash of longer ones.
const KeyBytesMost = 64

// Message is what nodes send each other. Which fields count depends on the kind.
type Message struct {
	Kind     Kind
	From, To Seat // To may be a node that the receiver forwards to, once
	View     uint64

	// Of Ask, Grant, Recall, Return and Claim: the stream, and the position in it.
	Session  uint32
	Sequence uint64

	// Seal proves who made a message that another node passes on. Drivers seal with the Secret that the receiver's
	// pings brought directly, so the node between cannot make up or change messages; this package does not look at
	// them.
	Seal Proof

	Incarnation uint64
	Secret      Proof // of Ping
	SentUS      int64 // of Ping, echoed by Pong: by the clock of the node that pings
	State       PingState
	Decided     View
	Excluded    []Member // of Exclude and Consent: the processes in the view that the next one lacks

	Armed    bool // of Claim: keys that it does not list have their default piece
	Holdings []Holding

	Key          string
	Piece        Piece
	DemandNano   int64 // requests per second that the sender gets for the key, in 1/1,000,000,000
	AskID        uint64
	NeedRequests int64
	Tokens       int64 // of Grant: requests that may be admitted until the ask's window ends
	WindowUS     int64 // of Ask: so long after it was sent, tokens are void
	HoldUS       int64 // of Grant: nothing will be free for so long
	Keep         int64 // of Recall: the fair share, in capacity
	Flags        Flags
	Slots        int64 // a claim has them as the capacity of its holdings, and the limit of its sender as the rate
	Limit        int64 // of AskSlots and ReturnSlots: the sender's; of GrantSlots: within which the owner granted
}

// Proof is a secret, or a seal made with it.
type Proof [16]byte

// Flags are details of a message.
type Flags uint8

// The flags.
const (
	Listed  Flags = 1 << iota // the owner knows that this node wants more, and gives it when there is some
	Pending                   // … and has asked others for it already
	Central                   // the owner decides for every request
	Forget                    // the holder's record can go: its default piece is back
	Silent                    // the holder gets no more requests for the key
)

// Holding is what a node has of a key at a takeover.
type Holding struct {
	Key        string
	Piece      Piece
	DemandNano int64
	Pool       bool // the sender was the owner, and hands over its pool
}

// PingState is what a ping says about its sender.
type PingState struct {
	Hears    Seats // that it received something from lately
	Silent   Seats // that it could consent to exclude
	Promised bool  // it consented to a view that is not decided yet
	// The last sequences sent to the receiver, as a holder and as an owner, and their sessions.
	UpSession, DownSession uint32
	UpSent, DownSent       uint64
}

// Outcome is the decision on a request that had to wait.
type Outcome struct {
	Ticket   uint64
	Admitted bool
}
