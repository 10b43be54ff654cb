//! What those who speak SNMP ask for variables; and the MIB over one snapshot as such a thing.

use super::table::{Look, SetError};
use super::tree::Tree;
use crate::bus::msg::Command;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// Variables as they are at one moment: every answer to one PDU comes from the same view.
pub trait View {
    /// The value, noSuchObject or noSuchInstance.
    fn get(&self, name: &Oid) -> Value;
    /// The first variable behind `name`, or at it with `include`; before `end`, unless that is empty.
    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind>;
    /// The object that the variable is of, whose other variables have the same type. `None`: that is not known.
    fn object(&self, _name: &Oid) -> Option<Oid> {
        None
    }
    /// What to ask the owner for, so that the variable has this value.
    fn test_set(&self, varbind: &VarBind) -> Result<Command, SetError>;
}

/// The MIB over one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'a> {
    pub tree: &'a Tree,
    pub look: Look<'a>,
}

impl View for Pinned<'_> {
    fn get(&self, name: &Oid) -> Value {
        self.tree.get(self.look, name)
    }

    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        self.tree.next(self.look, name, include, end)
    }

    fn object(&self, name: &Oid) -> Option<Oid> {
        self.tree.object(name)
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Command, SetError> {
        self.tree.test_set(self.look.snapshot, varbind)
    }
}
