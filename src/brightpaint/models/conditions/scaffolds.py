"""What of a molecule is its scaffold (Bemis & Murcko 1996): molecules of one stand on one side of a split."""

from __future__ import annotations

from brightpaint.models.conditions.molecule_vectors import canonical


def scaffold(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold of a molecule, without stereo; of one without a ring the molecule itself."""
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    molecule = Chem.MolFromSmiles(canonical(smiles))
    Chem.RemoveStereochemistry(molecule)
    return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(molecule)) or Chem.MolToSmiles(molecule)
