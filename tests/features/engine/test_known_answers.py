"""What CellProfiler 4.2.8.1 gave of one drawn field: objects that touch, one with a hole, one pixel; many equal maxima."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import neighbours, object_intensity, radial
from brightpaint.features.engine.objects import Objects

CELLPROFILER = {
    "Intensity_IntegratedIntensityEdge_A": [
        18.072164624929428, 20.907216095365584, 48.15463819168508, 22.618556266650558, 0.10309278219938278],
    "Intensity_StdIntensity_A": [
        0.29989580603952287, 0.2838987079771532, 0.2888319900157012, 0.2874554791152115, 0.0],
    "Intensity_LowerQuartileIntensity_A": [
        0.23711340129375458, 0.24742268025875092, 0.24742268025875092, 0.25773194432258606, 0.10309278219938278],
    "Intensity_MADIntensity_A": [
        0.2680412530899048, 0.23711341619491577, 0.25773192942142487, 0.24742268025875092, 0.0],
    "Intensity_MassDisplacement_A": [
        0.3133218198792648, 0.22049630580864982, 0.17156681697349696, 0.03906039627649277, 0.0],
    "Location_CenterMassIntensity_X_A": [
        7.600490698013118, 18.57016269628662, 16.617543082513603, 42.5307766224041, 30.0],
    "Location_MaxIntensity_X_A": [10, 18, 11, 36, 30],
    "Location_MaxIntensity_Y_A": [9, 8, 21, 30, 15],
    "RadialDistribution_FracAtD_A_1of4": [
        0.06460846960544586, 0.06289947777986526, 0.01502430159598589, 0.07677528262138367, 1.0],
    "RadialDistribution_FracAtD_A_4of4": [
        0.358413428068161, 0.3638872802257538, 0.7356017231941223, 0.3825463354587555, 0.0],
    "RadialDistribution_RadialCV_A_2of4": [
        0.3756423272320775, 0.6141248963273588, 0.7143042724145342, 0.26111656277783285, 0.0],
    "Neighbors_AngleBetweenNeighbors_4": [
        59.81847022512233, 152.08308694736277, 152.42183068548076, 41.80966235581433, 72.66942966129419],
    "Neighbors_FirstClosestDistance_4": [
        11.045361017187261, 11.045361017187261, 11.87593175721555, 17.67766952966369, 13.729530217745982],
    "Neighbors_FirstClosestObjectNumber_4": [2, 1, 5, 5, 2],
    "Neighbors_NumberOfNeighbors_4": [1, 1, 1, 0, 0],
    "Neighbors_PercentTouching_4": [44.44444444444444, 40.90909090909091, 19.387755102040817, 0.0, 0.0],
    "Neighbors_NumberOfNeighbors_Expanded": [2, 4, 5, 3, 3],
    "Neighbors_PercentTouching_Expanded": [
        51.785714285714285, 71.73913043478261, 85.45454545454545, 45.2991452991453, 100.0],
    "Neighbors_SecondClosestObjectNumber_Expanded": [3, 5, 2, 3, 3],
}  # fmt: skip


def test_a_drawn_field_has_cellprofilers_numbers():
    labels = np.zeros((40, 50), np.int32)
    labels[2:12, 3:13], labels[2:14, 13:25], labels[20:33, 5:29], labels[24:28, 12:20] = 1, 2, 3, 0
    labels[18:38, 36:50], labels[15, 30] = 4, 5
    before = labels.copy()
    before[35:40, 5:20] = 7  # discarded later
    rows, columns = np.indices(labels.shape)
    image = (((rows * 7 + columns * 13) % 97) / 97).astype(np.float32)
    objects = Objects(labels, 5)
    found = object_intensity.measure(objects, {"A": image}) | radial.measure(objects, {"A": image})
    for method, distance in ((neighbours.WITHIN, 4), (neighbours.EXPANDED, 0)):
        found |= neighbours.measure(objects, method=method, distance=distance, before_discarding=before)
    for column, values in CELLPROFILER.items():
        assert list(found[column]) == pytest.approx(values, rel=1e-13, abs=0), column
