"""The model of forces: what it has to respect; and the benchmark of its uncertainty."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.evidential import forces as bench
from examples import forces


@pytest.fixture(scope="module")
def ethanol():
    atoms = forces.with_forces("CH3CH2OH")
    atoms.positions += 0.05 * np.random.default_rng(0).normal(size=atoms.positions.shape)
    return atoms


@pytest.fixture(scope="module")
def network():
    """With numbers everywhere, as after training."""
    start = forces.Forces(key=jax.random.key(0))
    drawn = lambda which, like: 0.3 * jax.random.normal(jax.random.key(which), like.shape)
    places = lambda n: (n.expected, n.of_atoms, n.first_bias)
    return eqx.tree_at(places, start, tuple(map(drawn, range(3), places(start))))


def predicted(network, positions, numbers):
    """Forces, one row an atom, and the log-scale beside each."""
    inputs = forces.asked(np.asarray(positions)[None], np.asarray(numbers))
    found = np.asarray(network(jax.tree.map(jnp.asarray, inputs)))[0]
    return found[:, 0].reshape(-1, 3), found[:, 1].reshape(-1, 3)


def test_forces_turn_with_the_molecule_and_do_not_see_where_it_is(ethanol, network):
    there, scales = predicted(network, ethanol.positions, ethanol.numbers)
    assert np.abs(there).max() > 0.1
    assert np.ptp(scales) > 0.01
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    for by in (turn, -turn):  # a rotation and a reflection
        moved, as_before = predicted(network, ethanol.positions @ by.T + 7.0, ethanol.numbers)
        np.testing.assert_allclose(moved, there @ by.T, atol=1e-10)
        np.testing.assert_allclose(as_before, scales, atol=1e-10)


def test_atoms_may_be_listed_in_any_order(ethanol, network):
    there, scales = predicted(network, ethanol.positions, ethanol.numbers)
    order = np.random.default_rng(2).permutation(len(ethanol))
    listed = predicted(network, ethanol.positions[order], ethanol.numbers[order])
    np.testing.assert_allclose(listed[0], there[order], atol=1e-10)
    np.testing.assert_allclose(listed[1], scales[order], atol=1e-10)


def test_nothing_pulls_itself_along_or_spins_itself_up(ethanol, network):
    there, _ = predicted(network, ethanol.positions, ethanol.numbers)
    np.testing.assert_allclose(there.sum(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cross(ethanol.positions, there).sum(axis=0), 0.0, atol=1e-10)


def test_the_same_numbers_serve_molecules_of_any_size(network):
    for name, count in (("H2O", 3), ("C3H8", 11)):
        atoms = forces.molecule(name)
        assert predicted(network, atoms.positions, atoms.numbers)[0].shape == (count, 3)
    with pytest.raises(ValueError, match=r"knows the elements \(1, 6, 8\), not \[7\]"):
        forces.asked(np.zeros((1, 4, 3)), forces.molecule("NH3").numbers)


def test_what_is_learnt_is_minus_the_slope_of_the_energy(ethanol):
    """In eV and Å, by central differences of the energy along each axis of two atoms."""
    wanted, step = ethanol.get_forces(), 1e-3
    for atom in (0, 3):
        for axis in range(3):
            energies = []
            for way in (step, -step):
                moved = ethanol.copy()
                moved.positions[atom, axis] += way
                moved.calc = ethanol.calc
                energies.append(moved.get_potential_energy())
            slope = (energies[1] - energies[0]) / (2 * step)
            np.testing.assert_allclose(wanted[atom, axis], slope, atol=2e-4)


def test_paths_are_those_of_their_seed_and_temperature():
    few = lambda kind, seed: forces.geometries(kind, 3, seed)
    one, same, other = few(forces.USUAL, 1), few(forces.USUAL, 1), few(forces.USUAL, 2)
    np.testing.assert_array_equal(one.values, same.values)
    assert np.abs(np.asarray(one.values - other.values)).max() > 0.1
    hot = few(forces.HOT, 1)
    assert np.std(hot.values) > 1.2 * np.std(one.values)


def test_bars_are_those_of_the_recommended_method():
    told = bench.Told(auroc=0.99, auprc=0.5)
    row = lambda nll, seconds: bench.Row(nll, 0.1, told, told, seconds)
    rows = lambda *ours: {bench.RECOMMENDED: row(*ours), bench.ENSEMBLE: row(-1.0, 10.0)}
    assert bench.is_met(rows(-1.1, 1.9))
    assert not bench.is_met(rows(-0.9, 1.9))
    assert not bench.is_met(rows(-1.1, 2.1))
    blind = rows(-1.1, 1.9)
    unsure = bench.Told(auroc=0.9, auprc=0.99)
    blind[bench.RECOMMENDED] = blind[bench.RECOMMENDED]._replace(other=unsure)
    assert not bench.is_met(blind)


@pytest.mark.slow
def test_the_refitted_last_layer_knows_what_it_has_not_seen():
    found = bench.row(bench.refitted(0), bench.data(0).asked)
    assert found.nll < -1.4
    assert found.error < 0.08
    assert min(found.hot.auroc, found.other.auroc) > bench.TOLD
