//! The AgentX (RFC 2741) subagent.
